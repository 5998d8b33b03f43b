# Huffman tables, and the lookups made of them.

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
