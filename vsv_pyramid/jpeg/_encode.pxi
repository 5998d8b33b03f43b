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
    void make_divisors(Divisors*, const uint16_t*, bint)
    void make_codes(Codes*, const uint16_t*, const uint8_t*, const uint16_t*, const uint8_t*)
    void encode_row(Scan*, const Frame*, int)
    void encode_end(Scan*)

tabulate_zigzag(NATURAL)


cdef class Encoder:
    """Planes as JPEGs with the header of another one, whatever that one's size; only where AVX2 is used.

    head: all that goes before the scan; frame: where in it the frame's header (SOF) begins;
    quantisation: luma's and chroma's steps, 64 each in zigzag order; coding: the Huffman tables that
    the head has; sampling: luma's (h, v), while chroma's is (1, 1); accurate: by jfdctint.
    """

    cdef Frame frame
    cdef bytes head
    cdef int size_at

    def __cinit__(self, bytes head, int frame, tuple quantisation, Coding coding not None, tuple sampling, bint accurate):
        cdef uint16_t steps[64]
        cdef const Pair* pair
        cdef int i, j
        memset(&self.frame, 0, sizeof(Frame))
        self.head, self.size_at = head, frame + 5
        self.frame.accurate = accurate
        self.frame.h, self.frame.v = sampling
        if not 0 <= frame <= len(head) - 9 or sampling not in ((1, 1), (2, 1), (2, 2)):
            raise ValueError("not a frame that is encoded here")
        for i in range(2):
            for j in range(64):
                steps[j] = quantisation[i][j]
            make_divisors(&self.frame.divisors[i], steps, accurate)
            pair = coding.pairs + coding.use[i]
            make_codes(&self.frame.codes[i], pair.dc.code, pair.dc.size, pair.ac.code, pair.ac.size)

    def encode(self, const uint8_t[:, :] y, const uint8_t[:, :] cb, const uint8_t[:, :] cr):
        """The JPEG of planes (rows, columns) whose chroma is subsampled by `sampling`, rounded up."""
        cdef Frame f = self.frame
        cdef Scan scan
        cdef Writer w
        cdef uint8_t* padded = NULL
        cdef uint8_t* out
        cdef int width = <int>y.shape[1], height = <int>y.shape[0], row, i
        cdef int mcu_rows = ceil_div(height, 8 * f.v)
        cdef size_t row_bytes
        cdef bytes result
        if not (0 < width < 65536 and 0 < height < 65536):
            raise ValueError("no size of a JPEG")
        f.mcu_columns = ceil_div(width, 8 * f.h)
        f.columns, f.rows = ceil_div(width, 8), ceil_div(height, 8)
        for i, plane in enumerate((y, cb, cr)):
            if plane.strides[1] != 1 or i and (plane.shape[0], plane.shape[1]) != (ceil_div(height, f.v), ceil_div(width, f.h)):
                raise ValueError("a plane of another size")
        f.plane[0], f.plane[1], f.plane[2] = &y[0, 0], &cb[0, 0], &cr[0, 0]
        f.stride[0], f.stride[1], f.stride[2] = y.strides[0], cb.strides[0], cr.strides[0]
        row_bytes = <size_t>f.mcu_columns * (f.h * f.v + 2) * BLOCK_BYTES
        memset(&w, 0, sizeof(w))
        memset(&scan, 0, sizeof(scan))
        try:
            if width % (8 * f.h) or height % (8 * f.v):
                padded = <uint8_t*>malloc(<size_t>f.mcu_columns * mcu_rows * (f.h * f.v + 2) * 64)
                if padded == NULL:
                    raise MemoryError
                pad(&f, padded, width, height, mcu_rows)
            with nogil:
                for row in range(mcu_rows):
                    if not reserve(&w, row_bytes):
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
            free(padded)


cdef void pad(Frame* f, uint8_t* to, int width, int height, int mcu_rows) noexcept nogil:
    """Copies of the planes, made whole MCUs by repeating their last column and row."""
    cdef int i, row, wide, high, full_width, full_height
    for i in range(3):
        wide, high = (width, height) if i == 0 else (ceil_div(width, f.h), ceil_div(height, f.v))
        full_width = 8 * f.mcu_columns * (f.h if i == 0 else 1)
        full_height = 8 * mcu_rows * (f.v if i == 0 else 1)
        for row in range(full_height):
            memcpy(to + <size_t>row * full_width, f.plane[i] + min(row, high - 1) * f.stride[i], wide)
            memset(to + <size_t>row * full_width + wide, to[<size_t>row * full_width + wide - 1], full_width - wide)
        f.plane[i], f.stride[i] = to, full_width
        to += <size_t>full_width * full_height
