"""The kernel: baseline JPEG tiles joined in the entropy-coded domain, and their halves on the way.

`splice` works in five steps, all without the GIL and without a library:

1. *unstuff* takes the 00 bytes and the restart markers out of each scan, once;
2. *walk* decodes every symbol once, and notes where each block ends and its coefficients that
   count at half size;
3. *halve* turns these into pixels (a 4x4 inverse DCT), eight blocks at a time;
4. *emit* copies the bits MCU row by MCU row and codes only the first DC difference at each seam
   anew;
5. *stuff* puts the 00 bytes back.

The steps are in files of their own: _huffman.pxi, _walk.pxi (1 and 2), _half.pxi and _emit.pxi (4
and 5). `Encoder` makes the tiles above the base (_encode.pxi), `planes` those of pixels (_colour.pxi). Vectors are in _vector.h and _wide.h,
what is computed with them in _half.h and _encode.h. Bit positions count from the start of a tile's
unstuffed scan. Blocks are numbered in the order of the scan.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport M_PI, cos, sqrt
from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from vsv_pyramid.jpeg.stream import ZIGZAG, StreamError

cdef extern from "_vector.h" nogil:
    int before_ff(const uint8_t*)
    size_t count_ff(const uint8_t*, size_t)
    enum:
        HALF_BITS "VSV_HALF_BITS"
        GROUP "VSV_GROUP"

cdef extern from "_wide.h":
    pass

cdef extern from "_half.h" nogil:
    void set_wide "use_avx2"(bint)
    bint is_wide "uses_avx2"()
    void idct4_line(const int16_t*, const int16_t*, uint8_t*, size_t, long)
    void luma_row(const uint8_t*, const uint8_t*, const uint8_t*, uint8_t*, long)
    void chroma_row(const uint8_t*, const uint8_t*, const uint8_t*, uint8_t*, uint8_t*, long)
    void means_row(const uint8_t*, const uint8_t*, uint8_t*, long)
    void split_row(const uint8_t*, uint8_t* const*, long)

cdef enum:
    BITS = 11  # of the first-level lookup
    SPAN = 1 << BITS
    LOOKUPS = 5  # a refill yields at least 57 bits, LOOKUPS * BITS of which may be used
    SLACK = 8  # blocks that may be walked beyond the last one, LOOKUPS and a few
    PAD = 32  # bytes that may be read beyond a scan
    SPARE = 32  # bits that a scan may not have behind its last block, where less are padding
    EOB = 129  # what the end of a block adds to k; see `step` for why
    FOLDS = 256  # more than k can reach

cdef enum Status:
    DONE
    EARLY
    SURPLUS
    DAMAGED
    RANGE
    MARKERS
    LACKING
    MEMORY

cdef dict REASONS = {
    EARLY: "the scan ends early",
    SURPLUS: "the scan is damaged: it goes on behind its last block",
    DAMAGED: "the scan is damaged: no code of its Huffman table stands there, or a block is overfull",
    RANGE: "the scan is damaged: a DC value out of range",
    MARKERS: "the scan is damaged: restart markers lacking or out of order",
}

cdef struct Entry:
    # One or two symbols that fit BITS together, codes and values: their bits, what each adds to k,
    # its value.
    uint8_t bits
    uint8_t first
    uint8_t second
    uint8_t code_bits  # where only the code fits: its length; the value is the symbol then
    int16_t value
    int16_t value2

cdef struct Huffman:
    # Decoding as in F.2.2.3, with left-justified limits; encoding by symbol, size 0 for a symbol
    # without a code.
    uint32_t limit[17]
    int32_t delta[17]
    uint8_t symbols[256]
    uint16_t code[256]
    uint8_t size[256]

cdef struct Pair:
    Huffman dc
    Huffman ac

cdef struct Symbol:
    # One symbol read: its bits with the value's, 0 for none; what it adds to k; its value; the
    # symbol; its code's bits.
    uint32_t bits
    uint32_t advance
    int32_t value
    uint32_t symbol
    uint32_t code_bits

cdef struct Fold:
    # What a coefficient adds to the half-size block: its weight, in units of the slot's step, and
    # the slot.
    int16_t weight
    uint16_t slot

cdef struct Place:
    # Where a block's coefficients go, which pair of tables it uses, and its component.
    uint32_t offset
    uint16_t table
    uint8_t component
    uint8_t pair

cdef struct Part:
    # A component: blocks of a tile, of an MCU; the first of its blocks in an MCU; its plane of the
    # joined halves.
    int h, v, first
    int columns, rows  # blocks in a tile
    int width, height  # px within the crop
    int unit  # px of a block in the plane: 4 by the small transform, 8 if decoded in full
    size_t offset, pitch  # of its coefficients, and from one row of its blocks to the next
    uint8_t* plane
    size_t stride
    int plane_width, plane_height  # px of the plane within the crop
    int fx, fy  # px of the plane that make one of the half
    uint16_t quantisation[64]
    Fold folds[FOLDS]
    int16_t scale[16]

cdef struct Tile:
    const uint8_t* source
    size_t size
    bint blank
    uint8_t* data
    size_t length
    uint32_t* segments  # first byte of each restart segment
    uint32_t* ends  # bit position behind each block
    int16_t* dc
    const Entry* luts
    const Pair* pairs
    const Place* places
    uint32_t interval  # blocks of a restart segment
    uint32_t walked  # blocks that the crop needs

cdef struct Lane:
    # A walk in progress; block..stop is the restart segment it is in.
    const uint8_t* data
    uint64_t position
    uint64_t limit
    uint32_t* ends
    int16_t* coefficients
    const Place* places
    const Entry* luts
    const Pair* pairs
    const Part* parts
    uint32_t block
    uint32_t stop
    uint32_t k
    uint32_t failed
    # What follows from block and k, looked up ahead: table is that of the next symbol.
    const Entry* table
    const Entry* ac
    const Fold* folds
    int16_t* out
    int tile

cdef struct Writer:
    uint8_t* data
    size_t length
    size_t capacity
    uint64_t bits
    int fill

cdef struct Job:
    int columns, rows  # tiles
    int width, height  # px of the crop
    int mcu_columns, mcu_rows  # MCUs of a tile
    int mcu_blocks
    int parts
    int kept_columns, kept_rows  # MCUs of the join within the crop
    uint32_t blocks  # of a tile
    size_t coefficients  # of a tile, with padding
    bint rgb
    int fx, fy  # the halves' chroma subsampling
    Part part[3]
    uint8_t component[10]  # of each block in an MCU
    bint leads[10]  # whether it is its component's first
    Tile* tiles

cdef uint8_t NATURAL[64]
cdef float COSINE[64]


def _tabulate():
    cdef int i, x
    for i in range(64):
        NATURAL[i] = ZIGZAG[i]
    for x in range(8):
        for i in range(8):
            COSINE[8 * x + i] = (sqrt(0.125) if i == 0 else 0.5) * cos((2 * x + 1) * i * M_PI / 16)


_tabulate()


cdef inline int ceil_div(int a, int b) noexcept nogil:
    return (a + b - 1) // b


include "_huffman.pxi"
include "_walk.pxi"
include "_half.pxi"
include "_emit.pxi"
include "_encode.pxi"
include "_colour.pxi"


def use_avx2(bint wanted):
    """Take the processor's vectors of 256 bits from now on, or do without. The bytes are the same."""
    set_wide(wanted)


def uses_avx2():
    """Whether they are used: from the start wherever the processor has them."""
    return is_wide()


use_avx2(True)


cdef void lay_out(Place* places, const Job* job, const uint8_t* use) noexcept nogil:
    """Where each block of a tile goes; the slack behind the last one goes to the scratch's end."""
    cdef uint32_t b = 0
    cdef int my, mx, j, c, row, column
    cdef const Part* part
    for my in range(job.mcu_rows):
        for mx in range(job.mcu_columns):
            for j in range(job.mcu_blocks):
                c = job.component[j]
                part = &job.part[c]
                row = my * part.v + (j - part.first) // part.h
                column = mx * part.h + (j - part.first) % part.h
                places[b].offset = part.offset + row * part.pitch + (column >> 3) * GROUP + (column & 7)
                places[b].table = use[c] * 2 * SPAN
                places[b].pair = use[c]
                places[b].component = c
                b += 1
    for j in range(SLACK):
        places[b + j].offset = job.coefficients - GROUP
        places[b + j].table = places[b + j].pair = places[b + j].component = 0


cdef Status run(Job* job, Writer* w, uint8_t* arena, uint32_t* words, int16_t* scratch, Coding own, Coding fallback,
                const int16_t* white, bint* transcoded, int* culprit) noexcept nogil:
    """Steps 1 to 4."""
    cdef int i
    cdef uint32_t segments
    cdef Tile* tile
    cdef Status status
    for i in range(job.columns * job.rows):
        tile = job.tiles + i
        culprit[0] = i
        if tile.blank:
            continue
        segments = (job.blocks + tile.interval - 1) // tile.interval
        tile.data = arena
        arena += tile.size + PAD
        tile.ends = words
        words += job.blocks + SLACK
        tile.segments = words
        words += segments + 1
        status = unstuff(tile, segments)
        if status != DONE:
            return status
        # A block takes two bits at least: this bounds the work that few bytes can ask for.
        if tile.length * 4 < tile.walked:
            return EARLY
    status = walk_all(job, scratch, culprit)
    if status != DONE:
        return status
    transcoded[0] = own is None
    if not transcoded[0]:
        status = emit(w, job, own, False, white)
        transcoded[0] = status == LACKING
    if transcoded[0]:
        status = emit(w, job, fallback, True, white)
    return status


cdef _measure(Job* job, tuple tile_size, tuple size, tuple sampling, tuple quantisation, tuple subsampling):
    """Fill in all of the job that is arithmetic."""
    cdef int i, j, c, fx, fy
    cdef int h_max = max([h for h, v in sampling])
    cdef int v_max = max([v for h, v in sampling])
    cdef size_t offset = 0
    cdef Part* part
    job.width, job.height = size
    job.fx, job.fy = subsampling
    job.parts = len(sampling)
    job.mcu_columns = ceil_div(tile_size[0], (8 * h_max))
    job.mcu_rows = ceil_div(tile_size[1], (8 * v_max))
    job.kept_columns = ceil_div(job.width, (8 * h_max))
    job.kept_rows = ceil_div(job.height, (8 * v_max))
    for c, (h, v) in enumerate(sampling):
        part = &job.part[c]
        part.h, part.v, part.first = h, v, job.mcu_blocks
        for i in range(h * v):
            job.component[job.mcu_blocks] = c
            job.leads[job.mcu_blocks] = i == 0
            job.mcu_blocks += 1
        part.columns, part.rows = job.mcu_columns * h, job.mcu_rows * v
        part.width, part.height = ceil_div(job.width * h, h_max), ceil_div(job.height * v, v_max)
        part.pitch = (part.columns + 7) // 8 * GROUP
        part.offset = offset
        offset += part.rows * part.pitch
        fx = 2 * (1 if c == 0 or job.rgb else job.fx) * h // h_max
        fy = 2 * (1 if c == 0 or job.rgb else job.fy) * v // v_max
        part.unit = 4 if fx > 1 and fy > 1 else 8
        part.fx, part.fy = fx * part.unit // 8, fy * part.unit // 8
        part.plane_width = part.width if part.unit == 8 else (part.width + 1) // 2
        part.plane_height = part.height if part.unit == 8 else (part.height + 1) // 2
        part.stride = <size_t>job.columns * part.columns * part.unit
        for i, step in enumerate(quantisation[c]):
            part.quantisation[i] = step
        weigh(part)
    job.blocks = <uint32_t>job.mcu_columns * job.mcu_rows * job.mcu_blocks
    job.coefficients = offset + GROUP


def splice(
    list sources, list starts, list codings, list intervals, int columns, int rows, tuple tile_size, tuple size,
    tuple sampling, tuple quantisation, tuple subsampling, bint rgb, bytes header, bytes fallback_header,
    Coding fallback not None, uint8_t[:, :] luma, uint8_t[:, :] cb, uint8_t[:, :] cr,
):
    """The joined JPEG; luma, cb and cr are filled with its half. Arguments as `join` prepares them.

    sources: the streams in row-major order, None for a white tile; starts, codings, intervals: of
    each where its scan begins, its tables, and its restart interval in MCUs. header and
    fallback_header: what goes before the scan, by whether it keeps the tiles' own tables or needs
    those of the fallback.
    """
    cdef Job job
    cdef Writer w
    cdef Tile* tile
    cdef Status status
    cdef bint transcoded = False
    cdef int i, count = columns * rows, culprit = 0
    cdef uint8_t* arena = NULL
    cdef uint8_t* planes = NULL
    cdef uint32_t* words = NULL
    cdef int16_t* dc = NULL
    cdef int16_t* scratch = NULL
    cdef Place* places = NULL
    cdef size_t bytes_needed = 0, words_needed = 0, plane_bytes = 0, length
    cdef int high, wide
    cdef int16_t white[3]
    cdef bytes source, head, result
    cdef Coding coding
    cdef list distinct = []
    cdef uint8_t* out
    memset(&job, 0, sizeof(job))
    memset(&w, 0, sizeof(w))
    if not (1 <= columns <= 64 and 1 <= rows <= 64 and len(sources) == len(starts) == len(codings) == len(intervals) == count):
        raise ValueError("not a grid of tiles")
    if not (1 <= len(sampling) <= 3 and len(sampling) == len(quantisation)) or not all(
        h in (1, 2) and v in (1, 2) and len(q) == 64 for (h, v), q in zip(sampling, quantisation)
    ) or sum([h * v for h, v in sampling]) > 10 or any(f not in (1, 2) for f in subsampling):
        raise ValueError("sampling factors that are not supported")
    if not (0 < tile_size[0] <= 8192 and 0 < tile_size[1] <= 8192
            and (columns - 1) * tile_size[0] < size[0] <= columns * tile_size[0]
            and (rows - 1) * tile_size[1] < size[1] <= rows * tile_size[1]):
        raise ValueError("a crop that its tiles do not cover, or does without some of them")
    job.columns, job.rows, job.rgb = columns, rows, rgb
    _measure(&job, tile_size, size, sampling, quantisation, subsampling)
    for i in range(job.parts):
        # White even where the step does not divide it: decoders clamp.
        white[i] = ceil_div(1016, job.part[i].quantisation[0]) if i == 0 or rgb else 0
    for i, plane in enumerate((luma, cb, cr)[:job.parts]):
        high, wide = job.part[i].plane_height, job.part[i].plane_width
        if rgb and i:
            high, wide = ceil_div(high, job.fy), ceil_div(wide, job.fx)
        else:
            high, wide = ceil_div(high, job.part[i].fy), ceil_div(wide, job.part[i].fx)
        if plane.shape[0] != high or plane.shape[1] != wide or plane.strides[1] != 1:
            raise ValueError(f"a half plane of another size than {wide} x {high}")
    job.tiles = <Tile*>calloc(count, sizeof(Tile))
    if not job.tiles:
        raise MemoryError
    try:
        for i in range(count):
            tile = job.tiles + i
            source = sources[i]
            tile.blank = source is None
            if tile.blank:
                continue
            coding = codings[i]
            if not 0 <= starts[i] <= len(source) < 1 << 28 or intervals[i] < 0 or coding is None:
                raise ValueError("not a tile")
            if coding not in distinct:
                distinct.append(coding)
            tile.source = <const uint8_t*>PyBytes_AS_STRING(source) + <size_t>starts[i]
            tile.size = len(source) - <size_t>starts[i]
            tile.luts, tile.pairs = coding.luts, coding.pairs
            tile.interval = min(<uint32_t>intervals[i] * job.mcu_blocks, job.blocks) or job.blocks
            tile.walked = (min(job.mcu_rows, job.kept_rows - i // columns * job.mcu_rows)
                           * job.mcu_columns * job.mcu_blocks)
            bytes_needed += tile.size + PAD
            words_needed += job.blocks + SLACK + job.blocks // tile.interval + 2
        if not distinct:
            raise ValueError("no tile that is not empty")
        for i in range(job.parts):
            plane_bytes += job.part[i].stride * rows * job.part[i].rows * job.part[i].unit
        arena = <uint8_t*>malloc(bytes_needed)
        words = <uint32_t*>malloc(words_needed * sizeof(uint32_t))
        dc = <int16_t*>malloc(<size_t>count * job.blocks * sizeof(int16_t))
        scratch = <int16_t*>calloc(2 * job.coefficients, sizeof(int16_t))
        planes = <uint8_t*>malloc(plane_bytes + 3 * job.part[0].stride + 8)
        places = <Place*>malloc(len(distinct) * (job.blocks + SLACK) * sizeof(Place))
        if not (arena and words and dc and scratch and planes and places):
            raise MemoryError
        for i, coding in enumerate(distinct):
            lay_out(places + i * (job.blocks + SLACK), &job, coding.use)
        for i in range(count):
            job.tiles[i].dc = dc + <size_t>i * job.blocks
            if not job.tiles[i].blank:
                job.tiles[i].places = places + distinct.index(codings[i]) * (job.blocks + SLACK)
        length = 0
        for i in range(job.parts):
            job.part[i].plane = planes + length
            length += job.part[i].stride * rows * job.part[i].rows * job.part[i].unit
        coding = distinct[0] if len(distinct) == 1 else None
        with nogil:
            status = run(&job, &w, arena, words, scratch, coding, fallback, white, &transcoded, &culprit)
            if status == DONE:
                finish(&job, luma, cb, cr, planes + plane_bytes)
                length = w.length + count_ff(w.data, w.length)
        if status == MEMORY:
            raise MemoryError
        if status == LACKING:
            raise StreamError("the joined tile has a DC difference that no baseline scan can hold")
        if status != DONE:
            raise StreamError(REASONS[status], (culprit % columns, culprit // columns))
        head = fallback_header if transcoded else header
        result = PyBytes_FromStringAndSize(NULL, len(head) + length + 2)
        out = <uint8_t*>PyBytes_AS_STRING(result)
        memcpy(out, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        out += PyBytes_GET_SIZE(head)
        with nogil:
            stuff(out, w.data, w.length)
            out[length] = 0xFF
            out[length + 1] = 0xD9
        return result
    finally:
        free(w.data)
        free(arena)
        free(words)
        free(dc)
        free(scratch)
        free(planes)
        free(places)
        free(job.tiles)
