// What is published beside this page: where it lies, how it is asked for, what an answer means.

/* global OpenSeadragon */

const IMAGES = new URL("../images/", import.meta.url);
const ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;
const PACKED = /^DeepZoom-[0-9a-f]{32}\.szi$/;

/** The ids that the page's address names. */
export const ids = (new URLSearchParams(location.search).get("id") ?? "")
  .split(",").map((id) => id.trim()).filter(Boolean);

// Whatever else the address says is a signature, which goes with every request as it is: to write a
// character of it in another way would break it.
const signature = location.search.slice(1).split("&").filter((part) => !/^(id=|$)/.test(part));

/** Why something cannot be shown: a sentence for who looks at the page. */
export class NotShown extends Error {}

/** The URL of an object below images/, with the signature, and the version it may be cached by. */
export function imageUrl(key, version) {
  return new URL(key, IMAGES).href + query(version && `v=${encodeURIComponent(version)}`);
}

/** The URL of the viewer, or of the gallery without ids, with the signature. */
export function pageUrl(shown = []) {
  const page = new URL(shown.length ? "index.html" : "gallery/index.html", import.meta.url);
  return page.href + query(shown.length && `id=${shown.join(",")}`);
}

/**
 * A slide as it is published: `width` and `height` in px of the base level, `mpp` in um/px ({x, y})
 * and `power` (of the objective) where they are known, else null, and `facts`, its slide.json.
 */
export async function slide(id) {
  if (!ID.test(id)) {
    throw new NotShown(`“${id}” is no slide's id; check the link.`);
  }
  const name = `The slide ${id}`;
  const [descriptor, facts] = await Promise.all([
    fetched(`${id}/DeepZoom.dzi`, name).then((answer) => answer.text()).catch((error) => error),
    fetched(`${id}/slide.json`, name).then((answer) => answer.json()).catch(() => ({})),
  ]);
  const packed = PACKED.test(facts.packed) ? facts.packed : undefined;
  const found = {
    id,
    packed,
    ...(packed ? await (await import("./packed.js")).described(`${id}/${packed}`, name) : described(descriptor)),
    version: facts.pyramid?.version,
    mpp: facts.mpp?.x > 0 && facts.mpp?.y > 0 ? facts.mpp : null,
    power: facts.objective_power > 0 ? facts.objective_power : null,
    facts,
  };
  if (!(found.width > 0 && found.height > 0 && found.tileSize > 0)) {
    throw new NotShown(`${name} has a damaged descriptor; it has to be converted again.`);
  }
  return found;
}

/** What the descriptor says, or the reason why there is none. */
function described(descriptor) {
  if (descriptor instanceof Error) {
    throw descriptor;
  }
  const image = new DOMParser().parseFromString(descriptor, "text/xml").documentElement;
  const size = image.querySelector("Size");
  const number = (element, attribute) => Number(element?.getAttribute(attribute));
  return {
    width: number(size, "Width"),
    height: number(size, "Height"),
    tileSize: number(image, "TileSize"),
    overlap: number(image, "Overlap"),
    format: image.getAttribute("Format"),
  };
}

/** What OpenSeadragon draws the slide from. */
export function tileSource(slide) {
  const source = new OpenSeadragon.DziTileSource({
    width: slide.width,
    height: slide.height,
    tileSize: slide.tileSize,
    tileOverlap: slide.overlap,
    tilesUrl: new URL(`${slide.id}/DeepZoom_files/`, IMAGES).href,
    fileFormat: slide.format,
    queryParams: query(slide.version && `v=${encodeURIComponent(slide.version)}`),
  });
  // A level's last pixel reaches beyond the edge of the base level where that is no multiple of it.
  // OpenSeadragon would press the last tiles into the edge instead.
  source.getTileBounds = (level, column, row, isSource) => {
    const scale = source.getLevelScale(level);
    const sides = [[column, slide.width], [row, slide.height]].map(([at, length]) => {
      const start = at * slide.tileSize - (at ? slide.overlap : 0);
      const end = (at + 1) * slide.tileSize + slide.overlap;
      return [start, Math.min(end, Math.ceil(length * scale)) - start];
    });
    const [[x, width], [y, height]] = sides;
    const unit = 1 / (slide.width * scale);
    return isSource
      ? new OpenSeadragon.Rect(0, 0, width, height)
      : new OpenSeadragon.Rect(x * unit, y * unit, width * unit, height * unit);
  };
  return slide.read ? slide.read(source) : source;
}

/** When the slide was scanned: the time or, where that is not published, the year; undefined where none is. */
export function scanTime({ scanned, year }) {
  return scanned ?? year?.toString();
}

/** The slide's version as it is published now, and the object it is in; neither where that cannot be had. */
export async function current(id) {
  const answer = await fetched(`${id}/slide.json`, `The slide ${id}`).catch(() => null);
  const facts = await answer?.json().catch(() => null);
  return { version: facts?.pyramid?.version, packed: facts?.packed };
}

/** Throws NotShown where the slide, seen before, can be had no more; what fails passes, otherwise. */
export async function checkReachable({ id, packed }) {
  await fetched(`${id}/${packed ? "slide.json" : "DeepZoom.dzi"}`, `The slide ${id}`);
}

/** The answer about what is below images/, which a sentence calls by that name. */
export async function fetched(key, name) {
  let answer;
  try {
    answer = await fetch(imageUrl(key));
  } catch {
    throw new NotShown("The server does not answer; check the network and reload this page.");
  }
  if (!answer.ok) {
    answer.body?.cancel();
    throw new NotShown(`${name} ${REFUSALS[answer.status] ?? failure(answer.status)}`);
  }
  return answer;
}

// S3 answers 403 for what is not there, too, to those who may not list.
const REFUSALS = {
  401: "is not shown without signing in.",
  403: "is not shown: the link is no longer valid, or there is no such slide; ask for a new link.",
  404: "is not here; check the link, or whether the slide is published yet.",
};

function failure(status) {
  return `could not be loaded (error ${status}); try again in a minute.`;
}

/** The first parameter, if there is one, and the signature. */
function query(parameter) {
  const text = [parameter, ...signature].filter(Boolean).join("&");
  return text && `?${text}`;
}
