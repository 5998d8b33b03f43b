# Halves: from coefficients to planes, and from planes to smaller ones.

cdef void halve(int16_t* coefficients, int number, const Job* job) noexcept nogil:
    """The tile's part of the half planes; leaves its coefficients zero for the next tile."""
    cdef const Tile* tile = job.tiles + number
    cdef int left = number % job.columns
    cdef int top = number // job.columns
    cdef const Part* part
    cdef int16_t* line
    cdef uint8_t* out
    cdef int c, row, column, first, inside_x, inside_y
    for c in range(job.parts):
        part = &job.part[c]
        for row in range(part.rows):
            line = coefficients + part.offset + row * part.pitch
            inside_y = part.height - (top * part.rows + row) * 8
            if part.unit == 4 and inside_y > 0:
                out = part.plane + (top * part.rows + row) * 4 * part.stride + left * part.columns * 4
                idct4_line(line, part.scale, out, part.stride, part.columns)
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
                out[y * part.stride + x] = (pixels[i] + pixels[i + 1] + pixels[i + 8] + pixels[i + 9] + 1 + (x & 1)) >> 2


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


cdef void box(const uint8_t* source, size_t stride, int fx, int fy, uint8_t[:, :] out) noexcept nogil:
    """The plane, or the mean of fx x fy of its pixels, rounded as by means_row."""
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
                to[x] = (p[x] + q[x] + (x & 1)) >> 1
        elif fx == 2 and fy == 2:
            means_row(p, q, to, width)
        else:
            for x in range(width):
                sum = fx * fy // 2 - 1 + (x & 1)
                for j in range(fy):
                    for i in range(fx):
                        sum += p[j * stride + fx * x + i]
                to[x] = sum // (fx * fy)


cdef void to_ycc(const Job* job, uint8_t[:, :] luma, uint8_t[:, :] cb, uint8_t[:, :] cr,
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


cdef const uint8_t* averaged(const Job* job, int c, Py_ssize_t y, Py_ssize_t width, uint8_t* scratch) noexcept nogil:
    cdef size_t stride = job.part[c].stride
    cdef const uint8_t* p = job.part[c].plane + y * job.fy * stride
    cdef const uint8_t* q = p + (job.fy - 1) * stride
    cdef uint8_t* to = scratch + c * stride
    if job.fx == 1 and job.fy == 1:
        return p
    means_row(p, q, to, width)
    return to


cdef void finish(Job* job, uint8_t[:, :] luma, uint8_t[:, :] cb, uint8_t[:, :] cr, uint8_t* scratch) noexcept nogil:
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


def halved(const uint8_t[:, :] plane, uint8_t[:, :] out):
    """Fill `out` with the plane at half size, rounded up: a 2x2 box, the last row and column
    replicated."""
    cdef Py_ssize_t high = plane.shape[0]
    cdef Py_ssize_t wide = plane.shape[1]
    cdef Py_ssize_t y
    cdef const uint8_t* p
    cdef const uint8_t* q
    if plane.strides[1] != 1 or out.strides[1] != 1:
        raise ValueError("planes whose pixels are not side by side")
    if out.shape[0] != (high + 1) // 2 or out.shape[1] != (wide + 1) // 2 or high == 0 or wide == 0:
        raise ValueError("the half of another plane")
    with nogil:
        for y in range(out.shape[0]):
            p = &plane[2 * y, 0]
            q = &plane[min(2 * y + 1, high - 1), 0]
            means_row(p, q, &out[y, 0], wide // 2)
            if wide & 1:
                out[y, wide // 2] = (p[wide - 1] + q[wide - 1] + (y & 1)) >> 1
