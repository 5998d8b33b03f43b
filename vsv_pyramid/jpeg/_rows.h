/* The loops over rows, for vectors of one width: included once for each, with LANES, V, VECTOR(name),
   ROW(name) and TARGET. Each does whole vectors from `x` on, and returns where it ended. */

/* A 4-point inverse DCT of as many blocks, its frequencies scaled already */
static inline TARGET void ROW(transform)(V g0, V g1, V g2, V g3, V *out)
{
    /* cos(pi / 8) is 1 - 4989 / 2**16, sin(pi / 8) is 25080 / 2**16. */
    V even = VECTOR(add)(g0, g2), odd = VECTOR(sub)(g0, g2);
    V a = VECTOR(add)(VECTOR(sub)(g1, VECTOR(times)(g1, 4989)), VECTOR(times)(g3, 25080));
    V b = VECTOR(sub)(VECTOR(add)(VECTOR(times)(g1, 25080), VECTOR(times)(g3, 4989)), g3);
    out[0] = VECTOR(add)(even, a), out[1] = VECTOR(add)(odd, b);
    out[2] = VECTOR(sub)(odd, b), out[3] = VECTOR(sub)(even, a);
}

/* Blocks at half size, in 16 bits with HALF_BITS of fraction; x counts blocks */
static TARGET long ROW(idct4)(const int16_t *line, const int16_t *scale, uint8_t *out, size_t stride, long x, long blocks)
{
    for (; x + LANES <= blocks; x += LANES) {
        const int16_t *group = line + x * 16;
        uint8_t *to = out + 4 * x;
        V dc = VECTOR(dc)(VECTOR(load)(group), scale[0]), half[16], rows[4];
        if (VECTOR(flat)(group)) { /* glass, half of a slide */
            for (int i = 0; i < 4; i++)
                VECTOR(pixels)(to + i * stride, dc, dc, dc, dc);
            continue;
        }
#define SCALED(i) VECTOR(times)(VECTOR(load)(group + 8 * (i)), scale[i])
        for (int i = 0; i < 4; i++)
            ROW(transform)(i ? SCALED(i) : dc, SCALED(4 + i), SCALED(8 + i), SCALED(12 + i), half + 4 * i);
#undef SCALED
        for (int i = 0; i < 4; i++) {
            ROW(transform)(half[i], half[4 + i], half[8 + i], half[12 + i], rows);
            VECTOR(pixels)(to + i * stride, rows[0], rows[1], rows[2], rows[3]);
        }
    }
    return x;
}

/* JFIF's Y, with 7 bits of fraction: 0.299 R + (0.5 + 0.087) G + 0.114 B */
static TARGET long ROW(luma)(const uint8_t *r, const uint8_t *g, const uint8_t *b, uint8_t *y, long x, long width)
{
    for (; x + LANES <= width; x += LANES) {
        V green = VECTOR(widen)(g + x);
        V sum = VECTOR(add)(VECTOR(times)(VECTOR(widen)(r + x), 19595), VECTOR(times)(VECTOR(widen)(b + x), 7471));
        sum = VECTOR(add)(sum, VECTOR(add)(VECTOR(halved)(green), VECTOR(times)(green, 5702)));
        VECTOR(narrow)(y + x, sum);
    }
    return x;
}

static TARGET long ROW(chroma)(const uint8_t *r, const uint8_t *g, const uint8_t *b, uint8_t *cb, uint8_t *cr, long x, long width)
{
    for (; x + LANES <= width; x += LANES) {
        V red = VECTOR(widen)(r + x), green = VECTOR(widen)(g + x), blue = VECTOR(widen)(b + x);
        V sum = VECTOR(add)(VECTOR(times)(red, -11058), VECTOR(times)(green, -21710));
        VECTOR(narrow)(cb + x, VECTOR(add)(VECTOR(add)(sum, VECTOR(halved)(blue)), VECTOR(128)()));
        sum = VECTOR(add)(VECTOR(times)(green, -27439), VECTOR(times)(blue, -5329));
        VECTOR(narrow)(cr + x, VECTOR(add)(VECTOR(add)(sum, VECTOR(halved)(red)), VECTOR(128)()));
    }
    return x;
}

#undef LANES
#undef V
#undef VECTOR
#undef ROW
#undef TARGET
