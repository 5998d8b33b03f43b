# Halves: from coefficients to planes, and from planes to smaller ones.

cdef void halve(int16_t* coefficients, int number, const Job* job) noexcept nogil:
    """The tile's part of the half planes; leaves its coefficients zero for the next tile."""
    cdef const Tile* tile = job.tiles + number
    cdef int left = number % job.columns
    cdef int top = number // job.columns
    cdef const Part* part
    cdef int16_t* line
    cdef uint8_t* out
    cdef uint8_t pixels[4 * 32]
    cdef int c, row, column, first, y, inside_x, inside_y
    for c in range(job.parts):
        part = &job.part[c]
        for row in range(part.rows):
            line = coefficients + part.offset + row * part.pitch
            inside_y = part.height - (top * part.rows + row) * 8
            if part.unit == 4 and inside_y > 0:
                out = part.plane + (top * part.rows + row) * 4 * part.stride + left * part.columns * 4
                for column in range(0, part.columns - 7, 8):
                    idct4(line + column * 16, part.scale, out + 4 * column, part.stride)
                column = part.columns & ~7
                if column < part.columns:
                    idct4(line + column * 16, part.scale, pixels, 32)
                    for y in range(4):
                        memcpy(out + 4 * column + y * part.stride, pixels + 32 * y, 4 * (part.columns - column))
            memset(line, 0, part.pitch * sizeof(int16_t))
            if inside_y <= 0:
                continue
            # From here on blocks straddle the crop's edge, or all do.
            first = max(0, (part.width >> 3) - left * part.columns)
            if part.unit == 8 or inside_y < 8:
                first = 0
            for column in range(first, part.columns):
                inside_x = part.width - (left * part.columns + column) * 8
                if inside_x > 0:
                    whole(tile, part, c, row, column, min(8, inside_x), min(8, inside_y), job,
                          part.plane + (top * part.rows + row) * part.unit * part.stride
                          + (left * part.columns + column) * part.unit)


cdef inline void transform4(v8 g0, v8 g1, v8 g2, v8 g3, v8* out) noexcept nogil:
    """A 4-point inverse DCT of eight blocks, its frequencies scaled already."""
    # cos(pi / 8) is 1 - 4989 / 2**16, sin(pi / 8) is 25080 / 2**16.
    cdef v8 even = v8_add(g0, g2)
    cdef v8 odd = v8_sub(g0, g2)
    cdef v8 a = v8_add(v8_sub(g1, v8_times(g1, 4989)), v8_times(g3, 25080))
    cdef v8 b = v8_sub(v8_add(v8_times(g1, 25080), v8_times(g3, 4989)), g3)
    out[0] = v8_add(even, a)
    out[1] = v8_add(odd, b)
    out[2] = v8_sub(odd, b)
    out[3] = v8_sub(even, a)


cdef void idct4(const int16_t* group, const int16_t* scale, uint8_t* out, size_t stride) noexcept nogil:
    """Eight blocks at half size, side by side, in 16 bits with HALF_BITS of fraction."""
    cdef v8 half[16]
    cdef v8 rows[4]
    cdef v8 g0
    cdef int i
    if v8_flat(group):  # glass, half of a slide
        g0 = v8_dc(v8_load(group), scale[0])
        for i in range(4):
            v8_pixels(out + i * stride, g0, g0, g0, g0)
        return
    for i in range(4):
        g0 = v8_times(v8_load(group + 8 * i), scale[i]) if i else v8_dc(v8_load(group), scale[0])
        transform4(
            g0, v8_times(v8_load(group + 8 * i + 32), scale[4 + i]), v8_times(v8_load(group + 8 * i + 64), scale[8 + i]),
            v8_times(v8_load(group + 8 * i + 96), scale[12 + i]), half + 4 * i,
        )
    for i in range(4):
        transform4(half[i], half[4 + i], half[8 + i], half[12 + i], rows)
        v8_pixels(out + i * stride, rows[0], rows[1], rows[2], rows[3])


cdef inline uint8_t clamped(float x) noexcept nogil:
    x = x if x > 0 else 0
    x = x if x < 255 else 255
    return <uint8_t><int32_t>x


cdef void whole(const Tile* tile, const Part* part, int c, int row, int column, int inside_x, int inside_y,
                const Job* job, uint8_t* out) noexcept nogil:
    """A block decoded in full.

    What lies beyond the crop is replaced by the edge's pixel before it is halved.
    """
    cdef uint32_t block = ((row // part.v * job.mcu_columns + column // part.h) * job.mcu_blocks
                           + part.first + row % part.v * part.h + column % part.h)
    cdef float f[64]
    cdef float g[64]
    cdef uint8_t pixels[64]
    cdef float sum
    cdef int i, x, y
    coefficients64(tile, part, block, f)
    for y in range(8):
        for x in range(8):
            sum = 0
            for i in range(8):
                sum = sum + COSINE[8 * y + i] * f[8 * i + x]
            g[8 * y + x] = sum
    for y in range(8):
        for x in range(8):
            sum = <float>128.5
            for i in range(8):
                sum = sum + COSINE[8 * x + i] * g[8 * min(y, inside_y - 1) + i]
            pixels[8 * y + x] = clamped(sum)
        for x in range(inside_x, 8):
            pixels[8 * y + x] = pixels[8 * y + inside_x - 1]
    if part.unit == 8:
        for y in range(8):
            memcpy(out + y * part.stride, pixels + 8 * y, 8)
    else:
        for y in range(4):
            for x in range(4):
                i = 16 * y + 2 * x
                out[y * part.stride + x] = (pixels[i] + pixels[i + 1] + pixels[i + 8] + pixels[i + 9] + 2) >> 2


cdef void coefficients64(const Tile* tile, const Part* part, uint32_t block, float* f) noexcept nogil:
    """All coefficients of a block, dequantised."""
    cdef const Pair* pair = tile.pairs + tile.places[block].pair
    cdef uint64_t position = begin(tile, block)
    cdef Symbol s = read_symbol(window_at(tile, position), pair, True)
    cdef uint32_t k = 1
    memset(f, 0, 64 * sizeof(float))
    f[0] = <float>tile.dc[block] * part.quantisation[0]
    while k < 64:
        position += s.bits
        s = read_symbol(window_at(tile, position), pair, False)
        k += s.advance
        if s.bits == 0 or k > 64:
            break
        f[NATURAL[k - 1]] = <float>s.value * part.quantisation[k - 1]


cdef inline uint64_t begin(const Tile* tile, uint32_t block) noexcept nogil:
    """The bit position of a block."""
    if block % tile.interval == 0:
        return <uint64_t>tile.segments[block // tile.interval] * 8
    return tile.ends[block - 1]


cdef inline uint64_t window_at(const Tile* tile, uint64_t position) noexcept nogil:
    if position >> 3 > tile.length:
        position = tile.length * 8
    return load64(tile.data + (position >> 3)) << (position & 7)


cdef void paint(int number, const Job* job) noexcept nogil:
    """A white tile's part of the half planes."""
    cdef const Part* part
    cdef int c, y
    for c in range(job.parts):
        part = &job.part[c]
        for y in range(part.rows * part.unit):
            memset(part.plane + (number // job.columns * part.rows * part.unit + y) * part.stride
                   + number % job.columns * part.columns * part.unit,
                   255 if c == 0 or job.rgb else 128, part.columns * part.unit)


cdef void replicate(const Part* part, int width, int height) noexcept nogil:
    """Give the plane this size at least by repeating its last column and row."""
    cdef int x, y
    for y in range(part.plane_height):
        for x in range(part.plane_width, width):
            part.plane[y * part.stride + x] = part.plane[y * part.stride + part.plane_width - 1]
    for y in range(part.plane_height, height):
        memcpy(part.plane + y * part.stride, part.plane + (part.plane_height - 1) * part.stride,
               max(width, part.plane_width))


cdef void box(const uint8_t* source, size_t stride, int fx, int fy, uint8_t[:, ::1] out) noexcept nogil:
    """The plane, or the mean of fx x fy of its pixels."""
    cdef Py_ssize_t x, y
    cdef Py_ssize_t width = out.shape[1]
    cdef const uint8_t* p
    cdef const uint8_t* q
    cdef uint8_t* to
    cdef int i, j, sum
    for y in range(out.shape[0]):
        p = source + y * fy * stride
        q = p + (fy - 1) * stride
        to = &out[y, 0]
        if fx == 1 and fy == 1:
            memcpy(to, p, width)
        elif fx == 1:
            for x in range(width):
                to[x] = (p[x] + q[x] + 1) >> 1
        elif fx == 2 and fy == 2:
            for x in range(width):
                to[x] = (p[2 * x] + p[2 * x + 1] + q[2 * x] + q[2 * x + 1] + 2) >> 2
        else:
            for x in range(width):
                sum = fx * fy // 2
                for j in range(fy):
                    for i in range(fx):
                        sum += p[j * stride + fx * x + i]
                to[x] = sum // (fx * fy)


cdef void to_ycc(const Job* job, uint8_t[:, ::1] luma, uint8_t[:, ::1] cb, uint8_t[:, ::1] cr,
                 uint8_t* scratch) noexcept nogil:
    """JFIF's YCbCr (ITU-T T.871) from the planes R, G, B.

    Chroma is made of averaged RGB: the transform is linear.
    """
    cdef Py_ssize_t y
    cdef size_t stride = job.part[0].stride
    for y in range(luma.shape[0]):
        luma_row(job.part[0].plane + y * stride, job.part[1].plane + y * stride, job.part[2].plane + y * stride,
                 &luma[y, 0], luma.shape[1])
    for y in range(cb.shape[0]):
        chroma_row(averaged(job, 0, y, cb.shape[1], scratch), averaged(job, 1, y, cb.shape[1], scratch),
                   averaged(job, 2, y, cb.shape[1], scratch), &cb[y, 0], &cr[y, 0], cb.shape[1])


cdef void luma_row(const uint8_t* r, const uint8_t* g, const uint8_t* b, uint8_t* y, Py_ssize_t width) noexcept nogil:
    """Y, eight at a time with 7 bits of fraction; up to 7 bytes behind the planes' rows are read."""
    cdef Py_ssize_t x
    cdef v8 green, sum
    for x in range(0, width, 8):
        green = v8_widen(g + x)
        # 0.299 R + (0.5 + 0.087) G + 0.114 B
        sum = v8_add(v8_times(v8_widen(r + x), 19595), v8_times(v8_widen(b + x), 7471))
        sum = v8_add(sum, v8_add(v8_halved(green), v8_times(green, 5702)))
        narrow(sum, y + x, width - x)


cdef void chroma_row(const uint8_t* r, const uint8_t* g, const uint8_t* b, uint8_t* cb, uint8_t* cr,
                     Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t x
    cdef v8 red, green, blue, sum
    for x in range(0, width, 8):
        red = v8_widen(r + x)
        green = v8_widen(g + x)
        blue = v8_widen(b + x)
        sum = v8_add(v8_times(red, -11058), v8_times(green, -21710))
        narrow(v8_add(v8_add(sum, v8_halved(blue)), v8_128()), cb + x, width - x)
        sum = v8_add(v8_times(green, -27439), v8_times(blue, -5329))
        narrow(v8_add(v8_add(sum, v8_halved(red)), v8_128()), cr + x, width - x)


cdef inline void narrow(v8 a, uint8_t* out, Py_ssize_t room) noexcept nogil:
    cdef uint8_t last[8]
    if room >= 8:
        v8_narrow(out, a)
    else:
        v8_narrow(last, a)
        memcpy(out, last, room)


cdef const uint8_t* averaged(const Job* job, int c, Py_ssize_t y, Py_ssize_t width, uint8_t* scratch) noexcept nogil:
    cdef size_t stride = job.part[c].stride
    cdef const uint8_t* p = job.part[c].plane + y * job.fy * stride
    cdef const uint8_t* q = p + (job.fy - 1) * stride
    cdef uint8_t* to = scratch + c * stride
    cdef Py_ssize_t x
    if job.fx == 1 and job.fy == 1:
        return p
    for x in range(width):
        to[x] = (p[2 * x] + p[2 * x + 1] + q[2 * x] + q[2 * x + 1] + 2) >> 2
    return to


cdef void finish(Job* job, uint8_t[:, ::1] luma, uint8_t[:, ::1] cb, uint8_t[:, ::1] cr, uint8_t* scratch) noexcept nogil:
    """The half planes at their true size."""
    cdef int c
    cdef Part* part
    for c in range(job.parts):
        part = &job.part[c]
        if job.rgb:
            replicate(part, <int>cb.shape[1] * job.fx, <int>cb.shape[0] * job.fy)
        elif c == 0:
            box(part.plane, part.stride, 1, 1, luma)
        else:
            replicate(part, <int>cb.shape[1] * part.fx, <int>cb.shape[0] * part.fy)
            box(part.plane, part.stride, part.fx, part.fy, cb if c == 1 else cr)
    if job.rgb:
        to_ycc(job, luma, cb, cr, scratch)


cdef void weigh(Part* part) noexcept nogil:
    """The weights with which a block's coefficients make those of its half, and the latter's steps.

    The mean of the pixels 2n and 2n + 1 of an 8-point inverse DCT of F is, exactly, the 4-point one
    of F[k] * cos(k * pi / 16) - F[8 - k] * cos((8 - k) * pi / 16): the upper frequencies fold onto
    the lower ones. The sums are of 16 bits. A slot's unit is a fraction of the quantisation step of
    its lower frequency, so that this one enters exactly, and as small as the range of a sound
    block's values allows.
    """
    cdef int i, u, v, slot
    cdef double factor[8]
    cdef double step[16]
    cdef double weight
    for i in range(8):
        factor[i] = (sqrt(0.125) if i == 0 else 0.5) * cos(i * M_PI / 16) * (1 if i < 4 else -1)
    memset(part.folds, 0, sizeof(part.folds))
    for i in range(64):
        u = NATURAL[i] >> 3
        v = NATURAL[i] & 7
        if u < 4 and v < 4:
            weight = part.quantisation[i] * factor[u] * factor[v]
            # A half's DC is 1024 at most, its AC less, before the scaling; twice that leaves room.
            slot = 4 * u + v
            step[slot] = weight
            while i and step[slot] * 32768 >= 512:
                step[slot] /= 2
            # The 4-point transform has sqrt(1/2) in its middle frequency.
            weight = step[slot] * (sqrt(0.5) if u == 2 else 1) * (sqrt(0.5) if v == 2 else 1)
            part.scale[slot] = <int16_t>(weight * (1 << 16 + HALF_BITS)) if i else <int16_t>min(32767, part.quantisation[0])
    for i in range(64):
        u = NATURAL[i] >> 3
        v = NATURAL[i] & 7
        if u == 4 or v == 4:
            continue
        slot = 4 * (u if u < 4 else 8 - u) + (v if v < 4 else 8 - v)
        weight = part.quantisation[i] * factor[u] * factor[v] / step[slot]
        part.folds[i + 1].slot = slot * 8
        part.folds[i + 1].weight = <int16_t><int32_t>max(-32767, min(32767, weight + (0.5 if weight > 0 else -0.5)))


def halved(const uint8_t[:, ::1] plane, uint8_t[:, ::1] out):
    """Fill `out` with the plane at half size, rounded up: a 2x2 box, the last row and column
    replicated."""
    cdef Py_ssize_t high = plane.shape[0]
    cdef Py_ssize_t wide = plane.shape[1]
    cdef Py_ssize_t x, y
    cdef const uint8_t* p
    cdef const uint8_t* q
    cdef uint8_t* to
    if out.shape[0] != (high + 1) // 2 or out.shape[1] != (wide + 1) // 2 or high == 0 or wide == 0:
        raise ValueError("the half of another plane")
    with nogil:
        for y in range(out.shape[0]):
            p = &plane[2 * y, 0]
            q = p + (wide if 2 * y + 1 < high else 0)
            to = &out[y, 0]
            for x in range(wide // 2):
                to[x] = (p[2 * x] + p[2 * x + 1] + q[2 * x] + q[2 * x + 1] + 2) >> 2
            if wide & 1:
                to[wide // 2] = (p[wide - 1] + q[wide - 1] + 1) >> 1
