# The joined scan.

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
