# Pixels in other colours, and as planes.

cdef bint is_of(const uint8_t[:, :] plane, Py_ssize_t high, Py_ssize_t wide) noexcept:
    return plane.shape[0] == high and plane.shape[1] == wide and plane.strides[1] == 1


cdef bint are_pixels(const uint8_t[:, :, :] rgb) noexcept:
    return rgb.shape[0] > 0 < rgb.shape[1] and rgb.shape[2] == 3 == rgb.strides[1] and rgb.strides[2] == 1


def planes(const uint8_t[:, :, :] rgb, int fx, int fy, uint8_t[:, :] y, uint8_t[:, :] cb, uint8_t[:, :] cr):
    """Fill JFIF's planes (ITU-T T.871) with those of R, G and B; cb and cr with the means of fx x fy
    pixels, of which the last are repeated where some lack."""
    cdef Py_ssize_t high = rgb.shape[0], wide = rgb.shape[1]
    cdef Py_ssize_t row, high_chroma, wide_chroma, pitch = wide + 16
    cdef int i, c
    cdef uint8_t* scratch
    cdef uint8_t* part[2][3]
    cdef uint8_t* mean[3]
    if not are_pixels(rgb):
        raise ValueError("no pixels that lie side by side")
    if (fx, fy) not in ((1, 1), (2, 1), (2, 2)):
        raise ValueError("subsampling that is not supported")
    high_chroma, wide_chroma = (high + fy - 1) // fy, (wide + fx - 1) // fx
    if not (is_of(y, high, wide) and is_of(cb, high_chroma, wide_chroma) and is_of(cr, high_chroma, wide_chroma)):
        raise ValueError(f"no planes of {wide} x {high} px")
    scratch = <uint8_t*>malloc(9 * pitch)
    if not scratch:
        raise MemoryError
    for c in range(3):
        part[0][c], part[1][c] = scratch + c * pitch, scratch + (3 + c) * pitch
        mean[c] = scratch + (6 + c) * pitch
    with nogil:
        for row in range(high):
            i = row % fy
            split_row(&rgb[row, 0, 0], part[i], wide)
            luma_row(part[i][0], part[i][1], part[i][2], &y[row, 0], wide)
            if i != fy - 1 and row != high - 1:
                continue
            if fx == 1:
                chroma_row(part[0][0], part[0][1], part[0][2], &cb[row, 0], &cr[row, 0], wide)
                continue
            for c in range(3):
                part[0][c][wide], part[i][c][wide] = part[0][c][wide - 1], part[i][c][wide - 1]
                means_row(part[0][c], part[i][c], mean[c], (wide + 1) // 2)
            chroma_row(mean[0], mean[1], mean[2], &cb[row // fy, 0], &cr[row // fy, 0], (wide + 1) // 2)
    free(scratch)


def recolour(const uint8_t[:, :, :] rgb, const uint32_t[:] table, uint8_t[:, :, :] out, uint32_t[:] lacking):
    """Fill `out` with the colours that the table has of R << 16 | G << 8 | B, with 1 << 24 on top;
    how many pixels have one that it lacks, and in `lacking` these."""
    cdef Py_ssize_t high = rgb.shape[0], wide = rgb.shape[1], x, y, count = 0
    cdef const uint8_t* p
    cdef uint8_t* to
    cdef uint32_t key, colour
    if not (are_pixels(rgb) and are_pixels(out) and out.shape[0] == high and out.shape[1] == wide):
        raise ValueError("no pixels that lie side by side, or not as many")
    if table.shape[0] != 1 << 24 or table.strides[0] != 4 or lacking.shape[0] < high * wide or lacking.strides[0] != 4:
        raise ValueError("no table of all colours, or no room for those that it lacks")
    with nogil:
        for y in range(high):
            p, to = &rgb[y, 0, 0], &out[y, 0, 0]
            for x in range(wide):
                key = <uint32_t>p[3 * x] << 16 | <uint32_t>p[3 * x + 1] << 8 | p[3 * x + 2]
                colour = table[key]
                if colour >> 24 == 0:
                    lacking[count] = key
                    count += 1
                to[3 * x], to[3 * x + 1], to[3 * x + 2] = colour >> 16 & 255, colour >> 8 & 255, colour & 255
    return count
