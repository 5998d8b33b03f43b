/* Planes as the scan of a baseline JPEG, byte for byte as libjpeg-turbo makes it, by AVX2: two blocks
   at a time, one in each half of a vector, go through

   1. the forward DCT: libjpeg's fast one (jfdctfst) or its accurate one (jfdctint);
   2. quantisation, by reciprocals that make it exact; what is not 0 is noted by its zigzag place;
   3. Huffman coding, from one of these places to the next;
   4. bits, in words of 64, with a 00 behind each FF. */

typedef struct {
    uint16_t reciprocal[64], correction[64], scale[64]; /* in natural order; encode.py makes them */
} Divisors;

#define SMALL 64

typedef struct {
    uint32_t dc[16], ac[256]; /* code << 8 | its length, by symbol */
    uint32_t small[16][2 * SMALL]; /* and of a value from -SMALL on with its code, by run and value + SMALL */
} Codes;

typedef struct {
    const uint8_t *plane[3]; /* of whole MCUs */
    size_t stride[3];
    int mcu_columns, h, v;
    int columns, rows; /* blocks of luma; what an MCU has beyond them are dummies */
    int accurate;
    Divisors divisors[2]; /* luma's, chroma's */
    Codes codes[2];
} Frame;

typedef struct {
    uint8_t *out;
    uint64_t bits; /* the lowest `count` are to come */
    int count;
    int last[3]; /* DC of each component */
} Scan;

#define BLOCK_BYTES 420 /* at most: 64 values with 26 bits each, every byte stuffed */

static uint8_t ZIGZAG_AT[64];        /* natural index by zigzag place */
static uint64_t ZIGZAG_MASK[8][256]; /* by row, and its columns as bits: their zigzag places as bits */

static void tabulate_zigzag(const uint8_t *natural)
{
    memset(ZIGZAG_MASK, 0, sizeof ZIGZAG_MASK);
    for (int place = 0; place < 64; place++) {
        ZIGZAG_AT[place] = natural[place];
        for (int columns = 0; columns < 256; columns++)
            if (columns >> (natural[place] & 7) & 1)
                ZIGZAG_MASK[natural[place] >> 3][columns] |= 1ull << place;
    }
}

/* A code, and behind it the value in so many bits (F.1.2.1), as code << 8 | length */
static inline uint64_t valued(uint32_t code, int value, int size)
{
    uint32_t low = (uint32_t)(value + (value >> 31)) & ((1u << size) - 1);
    return ((uint64_t)(code >> 8) << size | low) << 8 | ((code & 255) + (uint32_t)size);
}

static void make_codes(Codes *c, const uint16_t *dc_code, const uint8_t *dc_size, const uint16_t *ac_code,
                       const uint8_t *ac_size)
{
    for (int i = 0; i < 16; i++)
        c->dc[i] = (uint32_t)dc_code[i] << 8 | dc_size[i];
    for (int i = 0; i < 256; i++)
        c->ac[i] = (uint32_t)ac_code[i] << 8 | ac_size[i];
    for (int run = 0; run < 16; run++)
        for (int value = -SMALL, size; value < SMALL; value++) {
            for (size = 0; (value < 0 ? -value : value) >> size; size++)
                ;
            c->small[run][value + SMALL] = (uint32_t)valued(c->ac[run << 4 | size], value, size);
        }
}

#ifdef VSV_AVX2

#define INLINE static inline __attribute__((always_inline, target(VSV_AVX2)))

/* What both passes begin with: sums and differences of rows, and those of the sums */
INLINE void butterflies(const __m256i *d, __m256i *t, __m256i *e)
{
    __m256i s[4];
    for (int i = 0; i < 4; i++)
        s[i] = _mm256_add_epi16(d[i], d[7 - i]), t[i] = _mm256_sub_epi16(d[3 - i], d[4 + i]);
    e[0] = _mm256_add_epi16(s[0], s[3]), e[3] = _mm256_sub_epi16(s[0], s[3]);
    e[1] = _mm256_add_epi16(s[1], s[2]), e[2] = _mm256_sub_epi16(s[1], s[2]);
}

/* a * x + b * y + c * z + d * w in 32 bits, descaled by a shift */
INLINE __m256i rotated(__m256i a, __m256i b, int x, int y, __m256i c, __m256i d, int z, int w, int shift)
{
    __m256i xy = _mm256_set1_epi32((int)((uint32_t)y << 16 | (uint16_t)x));
    __m256i zw = _mm256_set1_epi32((int)((uint32_t)w << 16 | (uint16_t)z)), half = _mm256_set1_epi32(1 << (shift - 1));
    __m256i low = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), xy),
                                   _mm256_madd_epi16(_mm256_unpacklo_epi16(c, d), zw));
    __m256i high = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), xy),
                                    _mm256_madd_epi16(_mm256_unpackhi_epi16(c, d), zw));
    return _mm256_packs_epi32(_mm256_srai_epi32(_mm256_add_epi32(low, half), shift),
                              _mm256_srai_epi32(_mm256_add_epi32(high, half), shift));
}

/* One pass of jfdctint down the columns, its constants with 13 bits of fraction */
INLINE void accurate_pass(__m256i *d, int last)
{
    __m256i t[4], e[4], none = _mm256_setzero_si256(), two = _mm256_set1_epi16(2);
    int shift = last ? 15 : 11;
    butterflies(d, t, e);
    d[0] = _mm256_add_epi16(e[0], e[1]), d[4] = _mm256_sub_epi16(e[0], e[1]);
    for (int i = 0; i < 8; i += 4)
        d[i] = last ? _mm256_srai_epi16(_mm256_add_epi16(d[i], two), 2) : _mm256_slli_epi16(d[i], 2);
    d[2] = rotated(e[3], e[2], 4433 + 6270, 4433, none, none, 0, 0, shift);
    d[6] = rotated(e[3], e[2], 4433, 4433 - 15137, none, none, 0, 0, shift);
    __m256i a = _mm256_add_epi16(t[0], t[2]), b = _mm256_add_epi16(t[1], t[3]);
    d[7] = rotated(t[0], t[3], 2446 - 7373, -7373, a, b, 9633 - 16069, 9633, shift);
    d[3] = rotated(t[1], t[2], -20995, 25172 - 20995, a, b, 9633 - 16069, 9633, shift);
    d[1] = rotated(t[0], t[3], -7373, 12299 - 7373, a, b, 9633, 9633 - 3196, shift);
    d[5] = rotated(t[1], t[2], 16819 - 20995, -20995, a, b, 9633, 9633 - 3196, shift);
}

/* a * b, b with 8 bits of fraction, as jfdctfst's vectors shift it */
INLINE __m256i times(__m256i a, int b)
{
    return _mm256_mulhi_epi16(_mm256_slli_epi16(a, 2), _mm256_set1_epi16((int16_t)(b << 6)));
}

/* One pass of jfdctfst down the columns */
INLINE void fast_pass(__m256i *d)
{
    __m256i t[4], e[4];
    butterflies(d, t, e);
    __m256i z1 = times(_mm256_add_epi16(e[2], e[3]), 181);
    d[0] = _mm256_add_epi16(e[0], e[1]), d[4] = _mm256_sub_epi16(e[0], e[1]);
    d[2] = _mm256_add_epi16(e[3], z1), d[6] = _mm256_sub_epi16(e[3], z1);
    __m256i a = _mm256_add_epi16(t[0], t[1]), b = _mm256_add_epi16(t[1], t[2]), c = _mm256_add_epi16(t[2], t[3]);
    __m256i z3 = times(b, 181), z5 = times(_mm256_sub_epi16(a, c), 98);
    __m256i z2 = _mm256_add_epi16(times(a, 139), z5), z4 = _mm256_add_epi16(times(c, 334), z5);
    __m256i z11 = _mm256_add_epi16(t[3], z3), z13 = _mm256_sub_epi16(t[3], z3);
    d[5] = _mm256_add_epi16(z13, z2), d[3] = _mm256_sub_epi16(z13, z2);
    d[1] = _mm256_add_epi16(z11, z4), d[7] = _mm256_sub_epi16(z11, z4);
}

INLINE void transpose(__m256i *d)
{
    __m256i a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi16(d[2 * i], d[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi16(d[2 * i], d[2 * i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_unpacklo_epi32(a[i + j], a[i + j + 2]);
            b[i + 2 * j + 1] = _mm256_unpackhi_epi32(a[i + j], a[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        d[2 * i] = _mm256_unpacklo_epi64(b[i], b[i + 4]);
        d[2 * i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 4]);
    }
}

INLINE __m256i twice(const uint16_t *a) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)a)); }

/* Two blocks, at a and b: their coefficients, and the zigzag places of those that are not 0 */
INLINE void two_blocks(const uint8_t *a, size_t stride_a, const uint8_t *b, size_t stride_b, const Divisors *by,
                       int accurate, int16_t *out, uint64_t *places)
{
    __m256i d[8];
    for (int i = 0; i < 8; i++) {
        const __m128i *left = (const __m128i *)(a + i * stride_a), *right = (const __m128i *)(b + i * stride_b);
        __m128i row = b == a + 8 ? _mm_loadu_si128(left) : _mm_unpacklo_epi64(_mm_loadl_epi64(left), _mm_loadl_epi64(right));
        d[i] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(row), _mm256_set1_epi16(128));
    }
    for (int pass = 0; pass < 2; pass++) {
        transpose(d);
        if (accurate)
            accurate_pass(d, pass);
        else
            fast_pass(d);
    }
    for (int i = 0; i < 8; i++) {
        __m256i x = _mm256_add_epi16(_mm256_abs_epi16(d[i]), twice(by->correction + 8 * i));
        x = _mm256_mulhi_epu16(x, twice(by->reciprocal + 8 * i));
        x = _mm256_mulhi_epu16(x, twice(by->scale + 8 * i));
        d[i] = _mm256_sign_epi16(x, d[i]);
        _mm_storeu_si128((__m128i *)(out + 8 * i), _mm256_castsi256_si128(d[i]));
        _mm_storeu_si128((__m128i *)(out + 64 + 8 * i), _mm256_extracti128_si256(d[i], 1));
    }
    places[0] = places[1] = 0;
    for (int i = 0; i < 8; i += 2) {
        __m256i zero = _mm256_cmpeq_epi8(_mm256_packs_epi16(d[i], d[i + 1]), _mm256_setzero_si256());
        uint32_t set = ~(uint32_t)_mm256_movemask_epi8(zero);
        places[0] |= ZIGZAG_MASK[i][set & 255] | ZIGZAG_MASK[i + 1][set >> 8 & 255];
        places[1] |= ZIGZAG_MASK[i][set >> 16 & 255] | ZIGZAG_MASK[i + 1][set >> 24];
    }
}

INLINE void put_bits(Scan *s, uint64_t bits, int length)
{
    int over = s->count + length - 64;
    if (over < 0) {
        s->bits = s->bits << length | bits;
        s->count += length;
        return;
    }
    uint64_t word = s->bits << (length - over) | bits >> over;
    s->bits = bits;
    s->count = over;
    if (word & 0x8080808080808080ull & ~(word + 0x0101010101010101ull)) { /* perhaps an FF */
        for (int shift = 56; shift >= 0; shift -= 8) {
            *s->out++ = (uint8_t)(word >> shift);
            if (s->out[-1] == 0xFF)
                *s->out++ = 0;
        }
    } else {
        word = __builtin_bswap64(word);
        memcpy(s->out, &word, 8);
        s->out += 8;
    }
}

typedef struct {
    uint64_t bits;
    int length;
} Code;

INLINE Code unpacked(uint64_t code) { return (Code){code >> 8, (int)(code & 255)}; }

INLINE void put(Scan *s, Code code) { put_bits(s, code.bits, code.length); }

INLINE void put_both(Scan *s, Code a, Code b) { put_bits(s, a.bits << b.length | b.bits, a.length + b.length); }

INLINE int bit_length(int value) { return 32 - (int)_lzcnt_u32((uint32_t)(value < 0 ? -value : value)); }

/* The code of the next place that is not 0; where too many zeros are before it, what is held is put, and they are */
INLINE Code next_code(Scan *s, Code *held, const int16_t *block, uint64_t *places, int *at, const Codes *c)
{
    int place = __builtin_ctzll(*places), run = place - *at - 1, value = block[ZIGZAG_AT[place]];
    *places &= *places - 1;
    *at = place;
    if (__builtin_expect(run > 15, 0)) {
        put(s, *held);
        *held = (Code){0, 0};
        for (; run > 15; run -= 16)
            put(s, unpacked(c->ac[0xF0]));
    }
    if (__builtin_expect((unsigned)(value + SMALL) < 2 * SMALL, 1))
        return unpacked(c->small[run][value + SMALL]);
    return unpacked(valued(c->ac[run << 4 | bit_length(value)], value, bit_length(value)));
}

/* Codes are put by twos: half as often there is a word to look after */
INLINE void put_block(Scan *s, const int16_t *block, uint64_t places, int component, const Codes *c)
{
    int difference = block[0] - s->last[component], at = 0;
    Code held = unpacked(valued(c->dc[bit_length(difference)], difference, bit_length(difference)));
    Code end = unpacked(c->ac[0]);
    s->last[component] = block[0];
    places &= ~1ull;
    while (places) {
        Code code = next_code(s, &held, block, &places, &at, c);
        put_both(s, held, code);
        held = (Code){0, 0};
        if (!places)
            break;
        held = next_code(s, &held, block, &places, &at, c);
    }
    if (at < 63)
        put_both(s, held, end);
    else
        put(s, held);
}

/* A row of MCUs, with what is constant known to the compiler; the scan's state is in registers */
INLINE Scan encode_mcus(Scan s, const Frame *f, int row, int h, int v, int accurate)
{
    const Divisors *luma = f->divisors, *chroma = f->divisors + 1;
    int16_t blocks[6][64];
    uint64_t places[6];
    int lumas = h * v;
    for (int column = 0; column < f->mcu_columns; column++) {
        const uint8_t *y = f->plane[0] + (size_t)row * v * 8 * f->stride[0] + (size_t)column * h * 8;
        const uint8_t *cb = f->plane[1] + (size_t)row * 8 * f->stride[1] + (size_t)column * 8;
        const uint8_t *cr = f->plane[2] + (size_t)row * 8 * f->stride[2] + (size_t)column * 8;
        for (int i = 0; i < lumas; i += 2) {
            const uint8_t *left = y + i / 2 * 8 * f->stride[0];
            two_blocks(left, f->stride[0], h == 2 ? left + 8 : left, f->stride[0], luma, accurate, blocks[i], places + i);
        }
        two_blocks(cb, f->stride[1], cr, f->stride[2], chroma, accurate, blocks[lumas], places + lumas);
        for (int i = 0; i < lumas; i++) {
            if (column * h + i % h >= f->columns || row * v + i / h >= f->rows) {
                blocks[i][0] = blocks[i - 1][0]; /* a dummy has its neighbour's DC */
                places[i] = 0;
            }
            put_block(&s, blocks[i], places[i], 0, f->codes);
        }
        put_block(&s, blocks[lumas], places[lumas], 1, f->codes + 1);
        put_block(&s, blocks[lumas + 1], places[lumas + 1], 2, f->codes + 1);
    }
    return s;
}

/* A row of MCUs; there is room for BLOCK_BYTES a block behind `out` */
static __attribute__((noinline, target(VSV_AVX2))) void encode_row(Scan *s, const Frame *f, int row)
{
    if (f->accurate)
        *s = encode_mcus(*s, f, row, f->h, f->v, 1);
    else if (f->h == 2 && f->v == 2)
        *s = encode_mcus(*s, f, row, 2, 2, 0);
    else
        *s = encode_mcus(*s, f, row, f->h, f->v, 0);
}

/* The last bits, filled up with ones (F.1.2.3), and EOI */
static __attribute__((noinline, target(VSV_AVX2))) void encode_end(Scan *s)
{
    int count = s->count, fill = -count & 7;
    put_bits(s, (1u << fill) - 1, fill);
    for (count = s->count - 8; count >= 0; count -= 8) {
        *s->out++ = (uint8_t)(s->bits >> count);
        if (s->out[-1] == 0xFF)
            *s->out++ = 0;
    }
    *s->out++ = 0xFF;
    *s->out++ = 0xD9;
}

#else

static void encode_row(Scan *s, const Frame *f, int row) { (void)s, (void)f, (void)row; }
static void encode_end(Scan *s) { (void)s; }

#endif
