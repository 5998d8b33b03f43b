/* What halves are computed with: rows of any length, by the widest vectors that the processor has. */

#define LANES 8
#define V v8
#define VECTOR(name) v8_##name
#define ROW(name) name##_8
#define TARGET
#include "_rows.h"

static int wide;

#ifdef VSV_AVX2

#define LANES 16
#define V v16
#define VECTOR(name) v16_##name
#define ROW(name) name##_16
#define TARGET __attribute__((target(VSV_AVX2)))
#include "_rows.h"

#define BOTH(name, ...) name##_8(__VA_ARGS__, wide ? name##_16(__VA_ARGS__, 0, width) : 0, width)

#else

#define BOTH(name, ...) name##_8(__VA_ARGS__, 0, width)

#endif

static void use_avx2(int wanted) { wide = wanted && has_avx2(); }
static int uses_avx2(void) { return wide; }

/* Blocks at half size, four rows of pixels */
static void idct4_line(const int16_t *line, const int16_t *scale, uint8_t *out, size_t stride, long width)
{
    uint8_t pixels[4 * 32];
    long x = BOTH(idct4, line, scale, out, stride);
    if (x == width)
        return;
    idct4_8(line + 16 * x, scale, pixels, 32, 0, 8);
    for (int y = 0; y < 4; y++)
        memcpy(out + 4 * x + y * stride, pixels + 32 * y, 4 * (width - x));
}

/* Y of R, G, B; up to 7 bytes behind these are read */
static void luma_row(const uint8_t *r, const uint8_t *g, const uint8_t *b, uint8_t *y, long width)
{
    uint8_t last[8];
    long x = BOTH(luma, r, g, b, y);
    if (x == width)
        return;
    luma_8(r + x, g + x, b + x, last, 0, 8);
    memcpy(y + x, last, width - x);
}

/* Cb and Cr in the same way */
static void chroma_row(const uint8_t *r, const uint8_t *g, const uint8_t *b, uint8_t *cb, uint8_t *cr, long width)
{
    uint8_t last[2][8];
    long x = BOTH(chroma, r, g, b, cb, cr);
    if (x == width)
        return;
    chroma_8(r + x, g + x, b + x, last[0], last[1], 0, 8);
    memcpy(cb + x, last[0], width - x);
    memcpy(cr + x, last[1], width - x);
}

/* The means of 2 x 2 pixels of the rows p and q, which may be one. Halves are rounded up in one column
   and down in the next: always up, each level would be an eighth brighter than the one below it. */
static void means_row(const uint8_t *p, const uint8_t *q, uint8_t *out, long width)
{
    for (long x = wide ? means_16(p, q, out, width) : 0; x < width; x++)
        out[x] = (uint8_t)((p[2 * x] + p[2 * x + 1] + q[2 * x] + q[2 * x + 1] + 1 + (x & 1)) >> 2);
}

/* R, G and B out of a row of pixels */
static void split_row(const uint8_t *rgb, uint8_t *const *out, long width)
{
    for (long x = wide ? split_16(rgb, out, width) : 0; x < width; x++)
        for (int c = 0; c < 3; c++)
            out[c][x] = rgb[3 * x + c];
}

#undef BOTH
