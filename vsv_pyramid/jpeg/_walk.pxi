# The walk: every symbol of a tile decoded once.

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


cdef bint goes_on(const Lane* lane) noexcept nogil:
    """Whether more than padding follows the segment's last block, as where damage has made codes longer."""
    cdef uint64_t end = lane.ends[lane.stop - 1]
    cdef uint64_t at
    if lane.limit - end < SPARE:
        return False
    for at in range((end + 7) >> 3, lane.limit >> 3):
        if lane.data[at] != 0 and lane.data[at] != 0xFF:
            return True
    return False


cdef Status resume(Lane* lane, Job* job, bint* finished) noexcept nogil:
    """What to do with a walk that has stopped: fail, the next segment, or halve what it found."""
    cdef Tile* tile = job.tiles + lane.tile
    cdef Status status
    finished[0] = False
    if lane.failed:
        return DAMAGED if lane.position <= lane.limit else EARLY
    if lane.block < lane.stop or lane.ends[lane.stop - 1] > lane.limit:
        return EARLY
    if lane.stop == job.blocks or lane.stop % tile.interval == 0:  # else blocks follow that the crop leaves out
        if goes_on(lane):
            return SURPLUS
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
