/* Eight 16-bit integers at once, for the inverse DCT of eight blocks side by side and for colour.
   Compilers do not find the upper half of a product or the narrowing of pixels by themselves. */

#include <stdint.h>
#include <string.h>

#define VSV_HALF_BITS 5 /* of fraction in the pixels of the 4x4 transform */
#define VSV_GROUP 128    /* coefficients of eight blocks side by side: [16][8] */

#if defined(__SSE2__) && !defined(VSV_PLAIN)

#include <emmintrin.h>

typedef __m128i v8;

static inline v8 v8_load(const int16_t *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline v8 v8_add(v8 a, v8 b) { return _mm_add_epi16(a, b); }
static inline v8 v8_sub(v8 a, v8 b) { return _mm_sub_epi16(a, b); }
/* a * b / 2**16, rounded down */
static inline v8 v8_times(v8 a, int16_t b) { return _mm_mulhi_epi16(a, _mm_set1_epi16(b)); }

/* DC values as pixels with VSV_HALF_BITS of fraction: an eighth of the dequantised value, the level
   shift and the rounding; clamped so that sums with it stay within 16 bits */
static inline v8 v8_dc(v8 dc, int16_t step)
{
    __m128i low = _mm_mullo_epi16(dc, _mm_set1_epi16(step));
    __m128i high = _mm_mulhi_epi16(dc, _mm_set1_epi16(step));
    v8 a = _mm_packs_epi32(_mm_unpacklo_epi16(low, high), _mm_unpackhi_epi16(low, high));
    a = _mm_adds_epi16(a, a);
    a = _mm_adds_epi16(a, a);
    a = _mm_adds_epi16(a, _mm_set1_epi16(257 << (VSV_HALF_BITS - 1)));
    return _mm_max_epi16(_mm_set1_epi16(-16384), _mm_min_epi16(a, _mm_set1_epi16(16383)));
}

/* Whether of 16 rows all but the first are zero */
static inline int v8_flat(const int16_t *p)
{
    v8 any = v8_load(p + 8);
    for (int i = 2; i < 16; i++)
        any = _mm_or_si128(any, v8_load(p + 8 * i));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) == 0xFFFF;
}

/* 32 pixels: the first of a, b, c and d, the second of each, and so on */
static inline void v8_pixels(uint8_t *out, v8 a, v8 b, v8 c, v8 d)
{
    __m128i ab = _mm_packus_epi16(_mm_srai_epi16(a, VSV_HALF_BITS), _mm_srai_epi16(b, VSV_HALF_BITS));
    __m128i cd = _mm_packus_epi16(_mm_srai_epi16(c, VSV_HALF_BITS), _mm_srai_epi16(d, VSV_HALF_BITS));
    ab = _mm_unpacklo_epi8(ab, _mm_srli_si128(ab, 8));
    cd = _mm_unpacklo_epi8(cd, _mm_srli_si128(cd, 8));
    _mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi16(ab, cd));
    _mm_storeu_si128((__m128i *)(out + 16), _mm_unpackhi_epi16(ab, cd));
}

/* bytes with 7 bits of fraction, and back, rounded; the truncation of products is made up for by a
   128th */
static inline v8 v8_widen(const uint8_t *p)
{
    return _mm_slli_epi16(_mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)p), _mm_setzero_si128()), 7);
}
static inline v8 v8_halved(v8 a) { return _mm_srai_epi16(a, 1); }
static inline v8 v8_128(void) { return _mm_set1_epi16(128 << 7); }
static inline void v8_narrow(uint8_t *p, v8 a)
{
    a = _mm_srli_epi16(_mm_add_epi16(a, _mm_set1_epi16(65)), 7);
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(a, a));
}

/* How many of 16 bytes come before the first FF */
static inline int before_ff(const uint8_t *p)
{
    int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(-1)));
    return mask ? __builtin_ctz(mask) : 16;
}

static inline size_t count_ff(const uint8_t *p, size_t length)
{
    size_t i = 0, count = 0;
    while (length - i >= 16) {
        /* 255 times at most, or a byte of the sum overflows */
        size_t stop = i + (length - i > 255 * 16 ? 255 * 16 : (length - i) / 16 * 16);
        __m128i sum = _mm_setzero_si128();
        for (; i < stop; i += 16)
            sum = _mm_sub_epi8(sum, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + i)), _mm_set1_epi8(-1)));
        sum = _mm_sad_epu8(sum, _mm_setzero_si128());
        count += _mm_extract_epi16(sum, 0) + _mm_extract_epi16(sum, 4);
    }
    for (; i < length; i++)
        count += p[i] == 0xFF;
    return count;
}

#else

typedef struct {
    int16_t x[8];
} v8;

static inline v8 v8_load(const int16_t *p)
{
    v8 a;
    memcpy(a.x, p, sizeof a.x);
    return a;
}

static inline v8 v8_add(v8 a, v8 b)
{
    for (int i = 0; i < 8; i++)
        a.x[i] = (int16_t)(a.x[i] + b.x[i]);
    return a;
}

static inline v8 v8_sub(v8 a, v8 b)
{
    for (int i = 0; i < 8; i++)
        a.x[i] = (int16_t)(a.x[i] - b.x[i]);
    return a;
}

static inline v8 v8_times(v8 a, int16_t b)
{
    for (int i = 0; i < 8; i++)
        a.x[i] = (int16_t)((a.x[i] * b) >> 16);
    return a;
}

static inline v8 v8_dc(v8 dc, int16_t step)
{
    for (int i = 0; i < 8; i++) {
        int64_t x = ((int64_t)dc.x[i] * step << (VSV_HALF_BITS - 3)) + (257 << (VSV_HALF_BITS - 1));
        dc.x[i] = (int16_t)(x < -16384 ? -16384 : x > 16383 ? 16383 : x);
    }
    return dc;
}

static inline int v8_flat(const int16_t *p)
{
    for (int i = 8; i < 128; i++)
        if (p[i])
            return 0;
    return 1;
}

static inline uint8_t v8_pixel(int16_t x)
{
    x >>= VSV_HALF_BITS;
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static inline void v8_pixels(uint8_t *out, v8 a, v8 b, v8 c, v8 d)
{
    for (int i = 0; i < 8; i++) {
        out[4 * i] = v8_pixel(a.x[i]);
        out[4 * i + 1] = v8_pixel(b.x[i]);
        out[4 * i + 2] = v8_pixel(c.x[i]);
        out[4 * i + 3] = v8_pixel(d.x[i]);
    }
}

static inline v8 v8_widen(const uint8_t *p)
{
    v8 a;
    for (int i = 0; i < 8; i++)
        a.x[i] = (int16_t)(p[i] << 7);
    return a;
}

static inline v8 v8_halved(v8 a)
{
    for (int i = 0; i < 8; i++)
        a.x[i] >>= 1;
    return a;
}

static inline v8 v8_128(void)
{
    v8 a;
    for (int i = 0; i < 8; i++)
        a.x[i] = 128 << 7;
    return a;
}

static inline void v8_narrow(uint8_t *p, v8 a)
{
    for (int i = 0; i < 8; i++) {
        unsigned x = (uint16_t)(a.x[i] + 65) >> 7;
        p[i] = (uint8_t)(x > 255 ? 255 : x);
    }
}

static inline int before_ff(const uint8_t *p)
{
    int i = 0;
    while (i < 16 && p[i] != 0xFF)
        i++;
    return i;
}

static inline size_t count_ff(const uint8_t *p, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += p[i] == 0xFF;
    return count;
}

#endif
