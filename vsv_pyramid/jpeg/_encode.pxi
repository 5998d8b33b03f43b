# Planes to a baseline JPEG.

cdef extern from "_encode.h" nogil:
    enum:
        BLOCK_BYTES
    ctypedef struct Divisors:
        pass
    ctypedef struct Codes:
        pass
    ctypedef struct Frame:
        const uint8_t* plane[3]
        size_t stride[3]
        int mcu_columns, h, v
        int columns, rows
        bint accurate
        Divisors divisors[2]
        Codes codes[2]
    ctypedef struct Scan:
        uint8_t* out
    void tabulate_zigzag(const uint8_t*)
    void make_codes(Codes*, const uint16_t*, const uint8_t*, const uint16_t*, const uint8_t*)
    void encode_row(Scan*, const Frame*, int)
    void encode_end(Scan*)

tabulate_zigzag(NATURAL)


cdef class Encoder:
    """Planes as JPEGs with the header of another one, whatever that one's size; only where AVX2 is used.

    head: all that goes before the scan; frame: where in it the frame's header (SOF) begins;
    divisors: luma's and chroma's, as bytes; coding: the Huffman tables that the head has; sampling:
    luma's (h, v), while chroma's is (1, 1); accurate: by jfdctint.
    """

    cdef Frame frame
    cdef bytes head
    cdef int size_at

    def __cinit__(self, bytes head, int frame, tuple divisors, Coding coding not None, tuple sampling, bint accurate):
        cdef const Pair* pair
        cdef bytes by
        cdef int i
        memset(&self.frame, 0, sizeof(Frame))
        self.head, self.size_at = head, frame + 5
        self.frame.accurate = accurate
        self.frame.h, self.frame.v = sampling
        if not 0 <= frame <= len(head) - 9 or sampling not in ((1, 1), (2, 1), (2, 2)) \
                or [len(by) for by in divisors] != [sizeof(Divisors)] * 2:
            raise ValueError("not a frame that is encoded here")
        for i, by in enumerate(divisors):
            memcpy(&self.frame.divisors[i], PyBytes_AS_STRING(by), sizeof(Divisors))
            pair = coding.pairs + coding.use[i]
            make_codes(&self.frame.codes[i], pair.dc.code, pair.dc.size, pair.ac.code, pair.ac.size)

    def encode(self, tuple size, const uint8_t[:, :] y, const uint8_t[:, :] cb, const uint8_t[:, :] cr):
        """The JPEG of `size` (width, height) px; the planes (rows, columns) go on to whole MCUs."""
        cdef Frame f = self.frame
        cdef Scan scan
        cdef Writer w
        cdef uint8_t* out
        cdef int width, height, rows, row, i
        cdef bytes result
        if not is_wide():
            raise RuntimeError("AVX2 is not used")
        width, height = size
        f.mcu_columns, rows = ceil_div(width, 8 * f.h), ceil_div(height, 8 * f.v)
        f.columns, f.rows = ceil_div(width, 8), ceil_div(height, 8)
        for i, plane in enumerate((y, cb, cr)):
            whole = (rows * 8 * (f.v if i == 0 else 1), f.mcu_columns * 8 * (f.h if i == 0 else 1))
            if not (0 < width < 65536 and 0 < height < 65536) or plane.shape[:2] != whole or plane.strides[1] != 1:
                raise ValueError(f"no planes of whole MCUs for a JPEG of {width} x {height} px")
        f.plane[0], f.plane[1], f.plane[2] = &y[0, 0], &cb[0, 0], &cr[0, 0]
        f.stride[0], f.stride[1], f.stride[2] = y.strides[0], cb.strides[0], cr.strides[0]
        memset(&w, 0, sizeof(w))
        memset(&scan, 0, sizeof(scan))
        try:
            with nogil:
                for row in range(rows):
                    if not reserve(&w, <size_t>f.mcu_columns * (f.h * f.v + 2) * BLOCK_BYTES):
                        with gil:
                            raise MemoryError
                    scan.out = w.data + w.length
                    encode_row(&scan, &f, row)
                    w.length = scan.out - w.data
                encode_end(&scan)
                w.length = scan.out - w.data
            result = PyBytes_FromStringAndSize(NULL, len(self.head) + w.length)
            out = <uint8_t*>PyBytes_AS_STRING(result)
            memcpy(out, PyBytes_AS_STRING(self.head), len(self.head))
            memcpy(out + len(self.head), w.data, w.length)
            out += self.size_at
            out[0], out[1], out[2], out[3] = height >> 8, height & 255, width >> 8, width & 255
            return result
        finally:
            free(w.data)
