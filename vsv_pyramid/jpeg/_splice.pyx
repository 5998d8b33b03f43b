"""The kernel: baseline JPEG tiles joined in the entropy-coded domain, and their halves on the way.

`splice` works in five steps, all without the GIL and without a library:

1. *unstuff* takes the 00 bytes and the restart markers out of each scan, once;
2. *walk* decodes every symbol once, and notes where each block ends and its coefficients that
   count at half size;
3. *halve* turns these into pixels (a 4x4 inverse DCT), eight blocks at a time;
4. *emit* copies the bits MCU row by MCU row and codes only the first DC difference at each seam
   anew;
5. *stuff* puts the 00 bytes back.

Bit positions count from the start of a tile's unstuffed scan. Blocks are numbered in the order of
the scan.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport M_PI, cos, sqrt
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from vsv_pyramid.jpeg.stream import ZIGZAG, StreamError

cdef extern from "_vector.h" nogil:
    ctypedef struct v8:
        pass
    v8 v8_load(const int16_t*)
    v8 v8_add(v8, v8)
    v8 v8_sub(v8, v8)
    v8 v8_times(v8, int16_t)
    v8 v8_dc(v8, int16_t)
    bint v8_flat(const int16_t*)
    void v8_pixels(uint8_t*, v8, v8, v8, v8)
    v8 v8_widen(const uint8_t*)
    v8 v8_halved(v8)
    v8 v8_128()
    void v8_narrow(uint8_t*, v8)
    int before_ff(const uint8_t*)
    size_t count_ff(const uint8_t*, size_t)

cdef enum:
    BITS = 11  # of the first-level lookup
    SPAN = 1 << BITS
    LOOKUPS = 5  # a refill yields at least 57 bits, LOOKUPS * BITS of which may be used
    SLACK = 8  # blocks that may be walked beyond the last one, LOOKUPS and a few
    PAD = 32  # bytes that may be read beyond a scan
    EOB = 129  # what the end of a block adds to k; see `step` for why
    FOLDS = 256  # more than k can reach
    HALF_BITS = 5  # of fraction in the pixels of the 4x4 transform; _vector.h has it too
    GROUP = 128  # coefficients of eight blocks side by side: [16][8]

cdef enum Status:
    DONE
    EARLY
    DAMAGED
    RANGE
    MARKERS
    LACKING
    MEMORY

cdef dict REASONS = {
    EARLY: "the scan ends early",
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


# --- Huffman tables -------------------------------------------------------------------------------


cdef void build(Huffman* h, const uint8_t* counts, const uint8_t* symbols, int total) noexcept nogil:
    cdef uint32_t code = 0
    cdef int length, i, at = 0
    memset(h, 0, sizeof(Huffman))
    for length in range(1, 17):
        h.delta[length] = at - <int32_t>code
        for i in range(counts[length - 1]):
            if at < total and h.size[symbols[at]] == 0:
                h.code[symbols[at]] = code
                h.size[symbols[at]] = length
            if at < total:
                h.symbols[at] = symbols[at]
            at += 1
            code += 1
        h.limit[length] = code << (16 - length)
        code <<= 1


cdef inline uint64_t load64(const uint8_t* p) noexcept nogil:
    return (<uint64_t>p[0] << 56 | <uint64_t>p[1] << 48 | <uint64_t>p[2] << 40 | <uint64_t>p[3] << 32
            | <uint64_t>p[4] << 24 | <uint64_t>p[5] << 16 | <uint64_t>p[6] << 8 | <uint64_t>p[7])


cdef inline Symbol valued(uint64_t window, uint32_t symbol, int length, bint dc) noexcept nogil:
    """The symbol whose code of this length is at the head of the window, with its value."""
    cdef Symbol s
    cdef int size = symbol if dc else symbol & 15
    s.bits = 0
    s.advance = 1 if dc else (symbol >> 4) + 1
    s.value = 0
    s.symbol = symbol
    s.code_bits = length
    if size > (11 if dc else 10):
        return s
    if size:
        s.value = <int32_t>((window << length) >> (64 - size))
        if s.value < 1 << (size - 1):
            s.value -= (1 << size) - 1
    elif not dc:
        if s.advance == 1:
            s.advance = EOB
        elif s.advance != 16:
            return s
    s.bits = length + size
    return s


cdef Symbol read_symbol(uint64_t window, const Pair* pair, bint dc, int length=1) noexcept nogil:
    """The symbol at the head of the window, 27 bits at most, without the lookup.

    Its code has this length at least.
    """
    cdef Symbol s
    cdef const Huffman* h = &pair.dc if dc else &pair.ac
    cdef uint32_t peek = <uint32_t>(window >> 48)
    while length <= 16 and peek >= h.limit[length]:
        length += 1
    if length > 16:
        memset(&s, 0, sizeof(s))
        return s
    return valued(window, h.symbols[(<int32_t>(peek >> (16 - length)) + h.delta[length]) & 255], length, dc)


cdef void tabulate(Entry* dc, Entry* ac, const Pair* pair) noexcept nogil:
    """The first-level lookups.

    A DC symbol or an AC one takes the AC symbol behind it along, where both fit.
    """
    cdef Entry alone[SPAN]
    cdef Entry* e
    cdef const Entry* behind
    cdef Symbol s
    cdef int i, first
    for first in range(2):
        for i in range(SPAN):
            e = dc + i if first else alone + i
            s = read_symbol(<uint64_t>i << (64 - BITS), pair, first)
            # Too long, or no code: 65 brings any k of a block to where `step` looks closer.
            memset(e, 0, sizeof(Entry))
            e.first = 65
            if 0 < s.bits <= BITS:
                e.bits, e.first, e.value = s.bits, s.advance, s.value
            elif 0 < s.code_bits <= BITS:
                # At least the code has been found; common at high quality, where values are long.
                e.code_bits = s.code_bits
                e.value = s.symbol
    memcpy(ac, alone, sizeof(alone))
    for first in range(2):
        for i in range(SPAN):
            e = dc + i if first else ac + i
            behind = alone + ((i << e.bits) & (SPAN - 1))
            if 0 < e.bits < BITS and e.first != EOB and 0 < behind.bits <= BITS - e.bits:
                e.bits += behind.bits
                e.second = behind.first
                e.value2 = behind.value


cdef class Coding:
    """The Huffman tables of a tile, made ready for the walk.

    pairs: the distinct (DC, AC) pairs, each table as (counts, symbols); use: per component the
    number of its pair.
    """

    cdef Pair* pairs
    cdef Entry* luts
    cdef uint8_t use[3]
    cdef readonly tuple key

    def __cinit__(self, tuple pairs, tuple use):
        cdef int i
        cdef bytes counts, symbols
        if not 1 <= len(pairs) <= 3 or not 1 <= len(use) <= 3 or not all(0 <= n < len(pairs) for n in use):
            raise ValueError("a component without a pair of tables")
        self.key = (pairs, use)
        self.pairs = <Pair*>calloc(len(pairs), sizeof(Pair))
        self.luts = <Entry*>calloc(len(pairs) * 2 * SPAN, sizeof(Entry))
        if not self.pairs or not self.luts:
            raise MemoryError
        for i, n in enumerate(use):
            self.use[i] = n
        for i, pair in enumerate(pairs):
            for kind, (counts, symbols) in enumerate(pair):
                if len(counts) != 16 or len(symbols) > 256 or sum(counts) != len(symbols):
                    raise ValueError("a Huffman table of a wrong length")
                build(
                    &self.pairs[i].ac if kind else &self.pairs[i].dc,
                    <const uint8_t*>PyBytes_AS_STRING(counts), <const uint8_t*>PyBytes_AS_STRING(symbols), len(symbols),
                )
            tabulate(self.luts + i * 2 * SPAN, self.luts + i * 2 * SPAN + SPAN, self.pairs + i)

    def __dealloc__(self):
        free(self.pairs)
        free(self.luts)


# --- Unstuff --------------------------------------------------------------------------------------


cdef Status unstuff(Tile* tile, uint32_t segments) noexcept nogil:
    """The scan without its 00 bytes and markers.

    Up to its end or the first marker that does not belong to it.
    """
    cdef const uint8_t* at = tile.source
    cdef const uint8_t* end = at + tile.size
    cdef uint8_t* out = tile.data
    cdef int plain
    cdef uint32_t segment = 0
    tile.segments[0] = 0
    while at < end:
        if end - at >= 16:
            memcpy(out, at, 16)
            plain = before_ff(at)
            out += plain
            at += plain
            if plain == 16:
                continue
        elif at[0] != 0xFF:
            out[0] = at[0]
            out += 1
            at += 1
            continue
        at += 1
        if at >= end:
            break
        if at[0] == 0:
            out[0] = 0xFF
            out += 1
            at += 1
        elif at[0] == 0xFF:
            pass  # fill bytes may precede a marker (B.1.1.2)
        elif 0xD0 <= at[0] <= 0xD7 and segment + 1 < segments:
            if at[0] - 0xD0 != (segment & 7):
                return MARKERS
            segment += 1
            tile.segments[segment] = <uint32_t>(out - tile.data)
            at += 1
        else:
            break
    tile.length = out - tile.data
    memset(out, 0, PAD)
    while segment < segments:
        segment += 1
        tile.segments[segment] = <uint32_t>tile.length
    return DONE


# --- Walk -----------------------------------------------------------------------------------------


cdef inline void enter(Lane* a) noexcept nogil:
    """Look up what follows from the block."""
    cdef Place place = a.places[a.block]
    a.out = a.coefficients + place.offset
    a.folds = a.parts[place.component].folds
    a.table = a.luts + place.table
    a.ac = a.table + SPAN


cdef inline uint64_t refill(const Lane* a) noexcept nogil:
    return load64(a.data + (a.position >> 3)) << (a.position & 7)


cdef inline bint step(Lane* a, uint64_t* window) noexcept nogil:
    """One lookup: one or two symbols, without a branch that data decides but the rare one.

    False if that one fails. k counts the coefficients of the block so far. A sound block ends at
    64, or by EOB at 130..192 - 1, so that in k - 1 the bit of 64 is clear; it is set where a lookup
    has to be looked at closer: for a code too long for the table (first is 65), and where the first
    symbol has ended the block already or the second overfills it.
    """
    cdef const Entry* e = a.table + (window[0] >> (64 - BITS))
    cdef uint32_t middle = a.k + e.first
    cdef uint32_t k = middle + e.second
    cdef Symbol s
    if (k - 1) & 64:
        if a.block >= a.stop:
            return True
        window[0] = refill(a)
        if e.code_bits:
            s = valued(window[0], e.value, e.code_bits, a.k == 0)
        else:
            s = read_symbol(window[0], a.pairs + a.places[a.block].pair, a.k == 0, BITS + 1 if e.first == 65 else 1)
        k = a.k + s.advance
        if s.bits == 0 or (k - 1) & 64:
            a.failed = 1
            return False
        a.out[a.folds[k].slot] += <int16_t>(s.value * a.folds[k].weight)
        a.position += s.bits
        window[0] = refill(a)
    else:
        a.out[a.folds[middle].slot] += <int16_t>(e.value * a.folds[middle].weight)
        a.out[a.folds[k].slot] += <int16_t>(e.value2 * a.folds[k].weight)
        a.position += e.bits
        window[0] <<= e.bits
    a.k = k
    a.table = a.ac
    if k >= 64:
        a.ends[a.block] = <uint32_t>a.position
        a.block += 1
        a.k = 0
        enter(a)
    return True


cdef inline bint runs(const Lane* a) noexcept nogil:
    return a.block < a.stop and a.position <= a.limit


cdef void walk(Lane* lane) noexcept nogil:
    cdef Lane a = lane[0]
    cdef uint64_t window
    while runs(&a):
        window = refill(&a)
        if not (step(&a, &window) and step(&a, &window) and step(&a, &window) and step(&a, &window)
                and step(&a, &window)):
            break
    lane[0] = a


cdef void walk_two(Lane* first, Lane* second) noexcept nogil:
    """Two walks until one of them stops.

    A walk is a chain of dependent lookups: two fill each other's waits.
    """
    cdef Lane a = first[0]
    cdef Lane b = second[0]
    cdef uint64_t u, w
    while runs(&a) and runs(&b):
        u = refill(&a)
        w = refill(&b)
        if not (step(&a, &u) and step(&b, &w) and step(&a, &u) and step(&b, &w) and step(&a, &u) and step(&b, &w)
                and step(&a, &u) and step(&b, &w) and step(&a, &u) and step(&b, &w)):
            break
    first[0] = a
    second[0] = b


cdef void start(Lane* lane, const Job* job, int number) noexcept nogil:
    cdef const Tile* tile = job.tiles + number
    lane.tile = number
    lane.data = tile.data
    lane.ends = tile.ends
    lane.places = tile.places
    lane.luts = tile.luts
    lane.pairs = tile.pairs
    lane.parts = job.part
    lane.failed = 0
    lane.block = 0
    lane.stop = 0
    segment(lane, tile)


cdef void segment(Lane* lane, const Tile* tile) noexcept nogil:
    """Go on with the restart segment that begins at lane.block."""
    cdef uint32_t number = lane.stop // tile.interval
    cdef uint32_t i
    cdef int s
    cdef int16_t* out
    # The walk overruns the end of a segment by a few lookups: what they left is wiped out.
    for i in range(lane.stop, lane.stop + SLACK):
        out = lane.coefficients + lane.places[i].offset
        for s in range(16):
            out[s * 8] = 0
    lane.block = lane.stop
    lane.k = 0
    lane.position = <uint64_t>tile.segments[number] * 8
    lane.limit = <uint64_t>tile.segments[number + 1] * 8
    lane.stop = min(lane.block + tile.interval, tile.walked)
    enter(lane)


cdef Status resume(Lane* lane, Job* job, bint* finished) noexcept nogil:
    """What to do with a walk that has stopped: fail, the next segment, or halve what it found."""
    cdef Tile* tile = job.tiles + lane.tile
    cdef Status status
    finished[0] = False
    if lane.failed:
        return DAMAGED if lane.position <= lane.limit else EARLY
    if lane.block < lane.stop or lane.ends[lane.stop - 1] > lane.limit:
        return EARLY
    if lane.stop < tile.walked:
        segment(lane, tile)
        return DONE
    finished[0] = True
    status = integrate(lane.coefficients, tile, job)
    if status == DONE:
        halve(lane.coefficients, lane.tile, job)
    return status


cdef Status walk_all(Job* job, int16_t* scratch, int* culprit) noexcept nogil:
    cdef Lane lanes[2]
    cdef bint busy[2]
    cdef bint finished
    cdef int i, following = 0, count = job.columns * job.rows
    cdef Status status
    memset(lanes, 0, sizeof(lanes))
    for i in range(2):
        lanes[i].coefficients = scratch + i * job.coefficients
        busy[i] = False
    while True:
        for i in range(2):
            while not busy[i] and following < count:
                if job.tiles[following].blank:
                    paint(following, job)
                else:
                    start(&lanes[i], job, following)
                    busy[i] = True
                following += 1
        if busy[0] and busy[1]:
            walk_two(&lanes[0], &lanes[1])
        elif busy[0]:
            walk(&lanes[0])
        elif busy[1]:
            walk(&lanes[1])
        else:
            return DONE
        for i in range(2):
            if busy[i] and (lanes[i].failed or not runs(&lanes[i])):
                status = resume(&lanes[i], job, &finished)
                if status != DONE:
                    culprit[0] = lanes[i].tile
                    return status
                if finished:
                    busy[i] = False


cdef Status integrate(int16_t* coefficients, Tile* tile, const Job* job) noexcept nogil:
    """DC differences to DC values."""
    cdef int32_t last[3]
    cdef uint32_t b, restart = 0
    cdef int32_t high = 0
    cdef int16_t* slot
    cdef int c
    for b in range(tile.walked):
        if b == restart:
            last[0] = last[1] = last[2] = 0
            restart += tile.interval
        slot = coefficients + tile.places[b].offset
        c = tile.places[b].component
        last[c] += slot[0]
        high |= last[c] if last[c] >= 0 else ~last[c]
        tile.dc[b] = slot[0] = <int16_t>last[c]
    return DONE if high < 32768 else RANGE


# --- Halve ----------------------------------------------------------------------------------------


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


# --- Emit -----------------------------------------------------------------------------------------


cdef bint reserve(Writer* w, size_t more) noexcept nogil:
    cdef uint8_t* data
    cdef size_t capacity
    if w.length + more + 64 > w.capacity:
        capacity = w.length + more + 64 + w.capacity // 2
        data = <uint8_t*>realloc(w.data, capacity)
        if data == NULL:
            return False
        w.data = data
        w.capacity = capacity
    return True


cdef inline void store64(uint8_t* p, uint64_t bits) noexcept nogil:
    cdef int i
    for i in range(8):
        p[i] = <uint8_t>(bits >> (56 - 8 * i))


cdef inline void put(Writer* w, uint64_t bits, int count) noexcept nogil:
    """The lowest count bits, 1..63."""
    bits <<= 64 - count
    w.bits |= bits >> w.fill
    w.fill += count
    if w.fill >= 64:
        store64(w.data + w.length, w.bits)
        w.length += 8
        w.fill -= 64
        # What of the bits did not fit: count - fill of them did.
        w.bits = bits << (count - w.fill) if w.fill else 0


cdef void copy(Writer* w, const Tile* tile, uint64_t position, uint64_t end) noexcept nogil:
    """The bits of a tile from position to end, 64 at a time."""
    cdef uint64_t bits
    cdef const uint8_t* p
    cdef uint8_t* out = w.data + w.length
    cdef int shift = position & 7
    cdef int fill = w.fill
    p = tile.data + (position >> 3)
    while position + 64 <= end:
        bits = load64(p) << shift | p[8] >> (8 - shift)
        store64(out, w.bits | bits >> fill)
        w.bits = bits << (63 - fill) << 1
        out += 8
        p += 8
        position += 64
    w.length = out - w.data
    if position < end and end - position > 32:
        put(w, window_at(tile, position) >> 32, 32)
        position += 32
    if position < end:
        put(w, window_at(tile, position) >> (64 - (end - position)), end - position)


cdef bint put_dc(Writer* w, const Pair* pair, int32_t difference) noexcept nogil:
    cdef uint32_t magnitude = difference if difference >= 0 else -difference
    cdef int size = 0
    while magnitude >> size:
        size += 1
    if size > 11 or pair.dc.size[size] == 0:
        return False
    put(w, pair.dc.code[size], pair.dc.size[size])
    if size:
        put(w, difference if difference > 0 else difference + (1 << size) - 1, size)
    return True


cdef bint put_block(Writer* w, const Tile* tile, uint32_t block, const Pair* target) noexcept nogil:
    """The AC symbols of a block in other tables."""
    cdef const Pair* pair = tile.pairs + tile.places[block].pair
    cdef uint64_t position = begin(tile, block)
    cdef Symbol s = read_symbol(window_at(tile, position), pair, True)
    cdef uint32_t k = 1
    cdef int size
    cdef uint64_t window
    position += s.bits
    while k < 64:
        window = window_at(tile, position)
        s = read_symbol(window, pair, False)
        if s.bits == 0 or target.ac.size[s.symbol] == 0:
            return False
        put(w, target.ac.code[s.symbol], target.ac.size[s.symbol])
        size = s.bits - s.code_bits
        if size:
            put(w, window << s.code_bits >> (64 - size), size)
        position += s.bits
        k += s.advance
    return True


cdef Status emit(Writer* w, const Job* job, Coding target, bint transcode, const int16_t* white) noexcept nogil:
    """The joined scan, not yet stuffed; LACKING where the tables have no code that is needed."""
    cdef int32_t last[3]
    cdef int mcu_row, row, column, across, j, c
    cdef uint32_t block, stop, end, b
    cdef const Tile* tile
    cdef const Pair* pair
    cdef Symbol s
    cdef uint64_t position
    last[0] = last[1] = last[2] = 0
    w.length = w.fill = 0
    w.bits = 0
    for mcu_row in range(job.kept_rows):
        row = mcu_row % job.mcu_rows
        for column in range(job.columns):
            tile = job.tiles + mcu_row // job.mcu_rows * job.columns + column
            across = min(job.mcu_columns, job.kept_columns - column * job.mcu_columns)
            block = row * job.mcu_columns * job.mcu_blocks
            stop = block + across * job.mcu_blocks
            if tile.blank:
                if not reserve(w, <size_t>(stop - block) * 8):
                    return MEMORY
                for b in range(stop - block):
                    c = job.component[b % job.mcu_blocks]
                    pair = target.pairs + target.use[c]
                    if not put_dc(w, pair, white[c] - last[c]) or pair.ac.size[0] == 0:
                        return LACKING
                    last[c] = white[c]
                    put(w, pair.ac.code[0], pair.ac.size[0])
                continue
            if transcode:
                # 27 bits of DC and 63 times 26 of AC at most.
                if not reserve(w, <size_t>(stop - block) * 209):
                    return MEMORY
                for b in range(block, stop):
                    c = job.component[b % job.mcu_blocks]
                    pair = target.pairs + target.use[c]
                    if not put_dc(w, pair, tile.dc[b] - last[c]) or not put_block(w, tile, b, pair):
                        return LACKING
                    last[c] = tile.dc[b]
                continue
            if not reserve(w, (tile.ends[stop - 1] - begin(tile, block) >> 3) + <size_t>(stop - block) * 4):
                return MEMORY
            while block < stop:
                # One run of bits, up to the next restart marker of the source if there are any.
                end = min(stop, (block // tile.interval + 1) * tile.interval)
                for j in range(job.mcu_blocks):
                    position = begin(tile, block)
                    if job.leads[j]:
                        c = job.component[j]
                        pair = tile.pairs + tile.places[block].pair
                        s = read_symbol(window_at(tile, position), pair, True)
                        if not put_dc(w, pair, tile.dc[block] - last[c]):
                            return LACKING
                        position += s.bits
                    copy(w, tile, position, tile.ends[block])
                    block += 1
                if block < end:
                    copy(w, tile, tile.ends[block - 1], tile.ends[end - 1])
                    block = end
                for j in range(job.mcu_blocks):
                    last[job.component[j]] = tile.dc[block - job.mcu_blocks + j]
    # The last byte is filled with ones (F.1.2.3).
    if not reserve(w, 16):
        return MEMORY
    if w.fill & 7:
        put(w, (1 << (8 - (w.fill & 7))) - 1, 8 - (w.fill & 7))
    store64(w.data + w.length, w.bits)
    w.length += w.fill >> 3
    return DONE


cdef void stuff(uint8_t* out, const uint8_t* at, size_t length) noexcept nogil:
    """Copy the bytes with a 00 behind each FF."""
    cdef const uint8_t* end = at + length
    cdef int plain
    while at < end:
        if end - at >= 16:
            memcpy(out, at, 16)
            plain = before_ff(at)
            out += plain
            at += plain
            if plain == 16:
                continue
        out[0] = at[0]
        out += 1
        if at[0] == 0xFF:
            out[0] = 0
            out += 1
        at += 1


# --- The whole ------------------------------------------------------------------------------------


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


def splice(
    list sources, list starts, list codings, list intervals, int columns, int rows, tuple tile_size, tuple size,
    tuple sampling, tuple quantisation, tuple subsampling, bint rgb, bytes header, bytes fallback_header,
    Coding fallback not None, uint8_t[:, ::1] luma, uint8_t[:, ::1] cb, uint8_t[:, ::1] cr,
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
        if plane.shape[0] != high or plane.shape[1] != wide:
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
