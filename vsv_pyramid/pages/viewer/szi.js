// A pyramid in one file (.szi, with its index in front) as what OpenSeadragon draws from, read by
// ranges: one request for the index, and then one for tiles that lie close to each other.

const FIRST = 65536; // bytes: the index of 20,000 tiles, and the small levels behind it
const GAP = 131072; // bytes between two tiles that cost less than another request
const MOST = 524288; // bytes of a request, which are decoded when all of them are there
const FRONT = 64; // tiles of a level that lies in front, at most
const BLOCK = 3; // levels below a block's highest tile: 8 x 8 base tiles
const HEADER = 30; // bytes of a zip header, without the name

/** Why a file cannot be shown: a sentence. */
export class NotPacked extends Error {}

/**
 * What OpenSeadragon (4 to 6) opens: `viewer.open(await sziTileSource(url))`. The server has to
 * answer ranges, as nearly all do; it is asked with `r=FIRST-LAST` behind the URL, since browsers
 * ask for ranges of the same URL only one after the other.
 */
export async function sziTileSource(url, OpenSeadragon = globalThis.OpenSeadragon) {
  const file = await openSzi(url);
  const { width, height, tileSize } = file;
  const source = new OpenSeadragon.DziTileSource({ width, height, tileSize, tilesUrl: url });
  source.tileOverlap = 1e-9; // or its canvas would draw each tile a pixel too large
  return readFrom(file, source, OpenSeadragon);
}

/** The pyramid's size in px, that of its tiles, and where each of them is in the file. */
export async function openSzi(url) {
  let head = await front(url, FIRST);
  let view = new DataView(head.buffer);
  const isZip = head.length > HEADER && view.getUint32(0, true) === 0x04034b50;
  const names = isZip ? view.getUint16(26, true) : 0;
  const name = new TextDecoder().decode(head.subarray(HEADER, HEADER + names));
  const at = HEADER + names + (isZip ? view.getUint16(28, true) : 0);
  const end = at + (isZip ? view.getUint32(22, true) : 0);
  if (!name.endsWith("/tiles.index")) {
    throw new NotPacked("This is no .szi file with an index in front.");
  }
  if (end > head.length) {
    head = await front(url, end);
    view = new DataView(head.buffer);
  }
  const number = (offset) => view.getUint32(at + offset, true);
  const [bytes, tileSize, width, height] = [view.getUint16(at + 6, true), number(8), number(12), number(16)];
  if (number(0) !== 0x58495a53 || view.getUint16(at + 4, true) !== 1 || end !== at + 36 + bytes * number(28)) {
    throw new NotPacked("The index of this file is damaged, or of a later form.");
  }
  const root = name.slice(0, name.indexOf("/"));
  const levels = grids(width, height, tileSize);
  const starts = levels.map(({ columns, rows }) => new Float64Array(columns * rows));
  const lengths = levels.map(({ columns, rows }) => new Float64Array(columns * rows));
  let length = at + 36;
  let offset = number(20) + number(24) * 2 ** 32;
  for (const [level, column, row] of inOrder(levels)) {
    const tile = row * levels[level].columns + column;
    offset += HEADER + `${root}/${root}_files/${level}/${column}_${row}.jpeg`.length;
    starts[level][tile] = offset;
    for (let i = bytes - 1; i >= 0; i--) {
      lengths[level][tile] = lengths[level][tile] * 256 + head[length + i];
    }
    offset += lengths[level][tile];
    length += bytes;
  }
  const span = (level, column, row) => {
    const tile = row * levels[level].columns + column;
    return [starts[level][tile], starts[level][tile] + lengths[level][tile]];
  };
  return { url, width, height, tileSize, span };
}

/** The tile source, which has the file's size and tile size, and now reads from it. */
export function readFrom(file, source, OpenSeadragon = globalThis.OpenSeadragon) {
  const requests = new Requests(file.url);
  // What a job says as it ends, in the releases before 6, is why it failed.
  const kind = OpenSeadragon.version.major < 6 ? undefined : "imageBitmap";
  source.getTileUrl = (...address) => rangeUrl(file.url, ...file.span(...address));
  source.downloadTileStart = (job) => {
    const fail = (why) => (job.fail ? job.fail(why, null) : job.finish(null, null, why));
    job.userData.ended = requests.add(...spanOf(job.src), (jpeg) => {
      createImageBitmap(jpeg).then(
        (pixels) => job.finish(pixels, null, kind),
        () => fail("The tile is damaged."),
      );
    }, fail);
  };
  source.downloadTileAbort = (job) => job.userData.ended?.();
  return source;
}

/** Ranges of a file, asked for at the end of the turn; those that lie close, in one request. */
class Requests {
  constructor(url) {
    this._url = url;
    this._waiting = [];
  }

  /** Calls one of the two with the bytes, or with the reason; what is returned ends it. */
  add(start, end, done, failed) {
    const wanted = { start, end, done, failed };
    if (!this._waiting.length) {
      queueMicrotask(() => this._send());
    }
    this._waiting.push(wanted);
    return () => {
      wanted.done = wanted.failed = () => {};
      this._waiting = this._waiting.filter((other) => other !== wanted);
      wanted.left?.();
    };
  }

  _send() {
    const waiting = this._waiting.sort((one, other) => one.start - other.start);
    this._waiting = [];
    let group = [];
    for (const wanted of waiting) {
      const last = group.at(-1);
      if (last && (wanted.start - last.end > GAP || wanted.end - group[0].start > MOST)) {
        this._ask(group);
        group = [];
      }
      group.push(wanted);
    }
    if (group.length) {
      this._ask(group);
    }
  }

  async _ask(group) {
    const controller = new AbortController();
    const left = new Set(group);
    for (const wanted of group) {
      wanted.left = () => {
        left.delete(wanted);
        if (!left.size) {
          controller.abort();
        }
      };
    }
    const [start, end] = [group[0].start, group.at(-1).end];
    try {
      const bytes = await range(this._url, start, end, controller);
      for (const wanted of group) {
        wanted.done(bytes.slice(wanted.start - start, wanted.end - start, "image/jpeg"));
      }
    } catch (error) {
      for (const wanted of group) {
        wanted.failed(error.message);
      }
    }
  }
}

async function front(url, end) {
  const bytes = await range(url, 0, end);
  return new Uint8Array(await bytes.arrayBuffer());
}

/** The bytes, as a Blob, which the server must have all. */
async function range(url, start, end, controller = new AbortController()) {
  const answer = await fetch(rangeUrl(url, start, end), {
    headers: { Range: `bytes=${start}-${end - 1}` },
    signal: controller.signal,
  });
  if (answer.status !== 206) {
    controller.abort(); // with 200, all of the file would come
    throw new NotPacked(answer.ok
      ? "The server does not answer ranges; this file can be shown only from one that does."
      : `The file cannot be loaded (error ${answer.status}).`);
  }
  const bytes = await answer.blob();
  if (bytes.size !== end - start && start > 0) {
    throw new NotPacked("The file ends before the tile.");
  }
  return bytes;
}

function rangeUrl(url, start, end) {
  return `${url}${String(url).includes("?") ? "&" : "?"}r=${start}-${end - 1}`;
}

/** The range that the URL ends with. */
function spanOf(url) {
  const [, first, last] = /r=(\d+)-(\d+)$/.exec(url).map(Number);
  return [first, last + 1];
}

function grids(width, height, tileSize) {
  const levels = [];
  for (let [x, y] = [width, height]; ; [x, y] = [Math.ceil(x / 2), Math.ceil(y / 2)]) {
    levels.unshift({ columns: Math.ceil(x / tileSize), rows: Math.ceil(y / tileSize) });
    if (x === 1 && y === 1) {
      return levels;
    }
  }
}

/** The tiles, as [level, column, row], in the order in which the file has them. */
function* inOrder(levels) {
  const base = levels.length - 1;
  const front = levels.filter(({ columns, rows }) => columns * rows <= FRONT).length;
  const blocks = Math.max(0, base - BLOCK);
  for (let level = 0; level < front; level++) {
    yield* part(levels[level], level, 0, 0, Infinity);
  }
  function* below(level, column, row) {
    if (level === blocks) {
      for (let lower = Math.max(front, blocks); lower <= base; lower++) {
        const side = 2 ** (lower - blocks);
        yield* part(levels[lower], lower, column * side, row * side, side);
      }
      return;
    }
    for (let y = 2 * row; y < Math.min(2 * row + 2, levels[level + 1].rows); y++) {
      for (let x = 2 * column; x < Math.min(2 * column + 2, levels[level + 1].columns); x++) {
        yield* below(level + 1, x, y);
      }
    }
    if (level >= front) {
      yield [level, column, row];
    }
  }
  yield* below(0, 0, 0);
}

function* part({ columns, rows }, level, left, top, side) {
  for (let row = top; row < Math.min(top + side, rows); row++) {
    for (let column = left; column < Math.min(left + side, columns); column++) {
      yield [level, column, row];
    }
  }
}
