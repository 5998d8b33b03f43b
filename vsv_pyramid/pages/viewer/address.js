// The view in the page's address: #x,y,zoom,rotation, and words for what else is switched on.

const MIRRORED = "mirrored";
const SIDE = "side";
const PAGE = "slide";

/**
 * A view: the centre in px of the base level, the scale in screen pixels per such a pixel, the
 * rotation in degrees, and whether it is mirrored; `page`, from 1, of several slides, `side` by side.
 * Null where the text is none.
 */
export function parsed(hash) {
  const [x, y, scale, rotation, ...words] = hash.replace(/^#/, "").split(/,|%2C/i);
  const numbers = [x, y, scale, rotation].map((part) => (part?.trim() ? Number(part) : NaN));
  if (!numbers.every(Number.isFinite) || numbers[2] <= 0) {
    return null;
  }
  const page = words.find((word) => word.startsWith(PAGE));
  return {
    x: numbers[0],
    y: numbers[1],
    scale: numbers[2],
    rotation: numbers[3],
    mirrored: words.includes(MIRRORED),
    side: words.includes(SIDE),
    page: Number(page?.slice(PAGE.length)) || 1,
  };
}

/** The view as text. */
export function written(view) {
  const words = [
    round(view.x, 2), round(view.y, 2), Number(view.scale.toPrecision(8)), round(view.rotation, 2),
    ...(view.mirrored ? [MIRRORED] : []),
    ...(view.side ? [SIDE] : []),
    ...(view.page > 1 ? [PAGE + view.page] : []),
  ];
  return `#${words.join(",")}`;
}

function round(value, digits) {
  return Number(value.toFixed(digits));
}
