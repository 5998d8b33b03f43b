/* Sixteen 16-bit integers at once, as v8 in _vector.h is eight: of coefficients two of the kernel's
   groups. Compiled for AVX2 whatever the rest is compiled for; `has_avx2` tells whether it may run. */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(VSV_PLAIN)

#define VSV_AVX2 "avx2,bmi,bmi2,lzcnt"

#include <cpuid.h>
#include <immintrin.h>

static int has_avx2(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("bmi")
        && __get_cpuid(0x80000001, &a, &b, &c, &d) && c & bit_LZCNT;
}

#define WIDE static inline __attribute__((always_inline, target(VSV_AVX2)))

typedef __m256i v16;

WIDE v16 v16_load(const int16_t *p)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                   _mm_loadu_si128((const __m128i *)(p + VSV_GROUP)), 1);
}
WIDE v16 v16_add(v16 a, v16 b) { return _mm256_add_epi16(a, b); }
WIDE v16 v16_sub(v16 a, v16 b) { return _mm256_sub_epi16(a, b); }
WIDE v16 v16_times(v16 a, int16_t b) { return _mm256_mulhi_epi16(a, _mm256_set1_epi16(b)); }

WIDE v16 v16_dc(v16 dc, int16_t step)
{
    v16 low = _mm256_mullo_epi16(dc, _mm256_set1_epi16(step)), high = v16_times(dc, step);
    v16 a = _mm256_packs_epi32(_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high));
    a = _mm256_adds_epi16(a, a);
    a = _mm256_adds_epi16(a, a);
    a = _mm256_adds_epi16(a, _mm256_set1_epi16(257 << (VSV_HALF_BITS - 1)));
    return _mm256_max_epi16(_mm256_set1_epi16(-16384), _mm256_min_epi16(a, _mm256_set1_epi16(16383)));
}

WIDE int v16_flat(const int16_t *p)
{
    v16 any = v16_load(p + 8);
    for (int i = 2; i < 16; i++)
        any = _mm256_or_si256(any, v16_load(p + 8 * i));
    return _mm256_testz_si256(any, any);
}

WIDE void v16_pixels(uint8_t *out, v16 a, v16 b, v16 c, v16 d)
{
    v16 ab = _mm256_packus_epi16(_mm256_srai_epi16(a, VSV_HALF_BITS), _mm256_srai_epi16(b, VSV_HALF_BITS));
    v16 cd = _mm256_packus_epi16(_mm256_srai_epi16(c, VSV_HALF_BITS), _mm256_srai_epi16(d, VSV_HALF_BITS));
    ab = _mm256_unpacklo_epi8(ab, _mm256_srli_si256(ab, 8));
    cd = _mm256_unpacklo_epi8(cd, _mm256_srli_si256(cd, 8));
    v16 low = _mm256_unpacklo_epi16(ab, cd), high = _mm256_unpackhi_epi16(ab, cd);
    _mm256_storeu_si256((v16 *)out, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256((v16 *)(out + 32), _mm256_permute2x128_si256(low, high, 0x31));
}

WIDE void v16_bytes(uint8_t *p, v16 a)
{
    a = _mm256_permute4x64_epi64(_mm256_packus_epi16(a, a), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(a));
}
WIDE v16 v16_widen(const uint8_t *p)
{
    return _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)), 7);
}
WIDE v16 v16_halved(v16 a) { return _mm256_srai_epi16(a, 1); }
WIDE v16 v16_128(void) { return _mm256_set1_epi16(128 << 7); }
WIDE void v16_narrow(uint8_t *p, v16 a)
{
    v16_bytes(p, _mm256_srli_epi16(_mm256_add_epi16(a, _mm256_set1_epi16(65)), 7));
}

/* Whole vectors of the means of 2 x 2 pixels; compilers find those of 128 bits by themselves */
static __attribute__((target(VSV_AVX2))) long means_16(const uint8_t *p, const uint8_t *q, uint8_t *out, long width)
{
    const v16 one = _mm256_set1_epi8(1), rounding = _mm256_set1_epi32(0x00020001);
    long x = 0;
    for (; x + 16 <= width; x += 16) {
        v16 sum = _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_loadu_si256((const v16 *)(p + 2 * x)), one),
                                   _mm256_maddubs_epi16(_mm256_loadu_si256((const v16 *)(q + 2 * x)), one));
        v16_bytes(out + x, _mm256_srli_epi16(_mm256_add_epi16(sum, rounding), 2));
    }
    return x;
}

/* Where in three vectors the bytes of each channel of 16 pixels are; 255 for in none */
static const uint8_t CHANNEL_AT[3][3][16] = {
    {{0, 3, 6, 9, 12, 15, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 255, 2, 5, 8, 11, 14, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 4, 7, 10, 13}},
    {{1, 4, 7, 10, 13, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 0, 3, 6, 9, 12, 15, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 5, 8, 11, 14}},
    {{2, 5, 8, 11, 14, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 1, 4, 7, 10, 13, 255, 255, 255, 255, 255, 255},
     {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 3, 6, 9, 12, 15}},
};

/* Whole vectors of R, G and B out of pixels */
static __attribute__((target(VSV_AVX2))) long split_16(const uint8_t *rgb, uint8_t *const *out, long width)
{
    long x = 0;
    for (; x + 16 <= width; x += 16) {
        __m128i part[3], sum;
        for (int i = 0; i < 3; i++)
            part[i] = _mm_loadu_si128((const __m128i *)(rgb + 3 * x + 16 * i));
        for (int c = 0; c < 3; c++) {
            sum = _mm_setzero_si128();
            for (int i = 0; i < 3; i++)
                sum = _mm_or_si128(sum, _mm_shuffle_epi8(part[i], _mm_loadu_si128((const __m128i *)CHANNEL_AT[c][i])));
            _mm_storeu_si128((__m128i *)(out[c] + x), sum);
        }
    }
    return x;
}

#else

static int has_avx2(void) { return 0; }
#define means_16(p, q, out, width) 0
#define split_16(rgb, out, width) 0

#endif
