// Pixels of the slide on pixels of the screen: where they meet, each is drawn as it is.

const ROUNDING = 1e-6; // px, and parts of one: what is less is no difference

/** Whether a level's pixels are as large as the screen's, and parallel to them. */
export function isWhole({ scale, rotation }) {
  const pixel = covered(scale);
  return pixel >= 1 && Math.abs(scale * pixel - 1) < ROUNDING && rotation % 90 === 0;
}

/**
 * The centre, in px of the base level, that is nearest to the view's and has the pixels of a level on
 * those of the screen; null where it has already, or no level's are as large. `size` is the window's,
 * {x, y} in CSS px.
 */
export function misaligned(view, size) {
  if (!isWhole(view)) {
    return null;
  }
  const pixel = covered(view.scale);
  const half = [size.x, size.y].map((length) => (length * devicePixelRatio) / 2);
  const [right, down] = view.rotation % 180 ? half.reverse() : half;
  const x = pixel * (Math.round(view.x / pixel - right) + right);
  const y = pixel * (Math.round(view.y / pixel - down) + down);
  return Math.max(Math.abs(x - view.x), Math.abs(y - view.y)) > ROUNDING ? { x, y } : null;
}

/** The most CSS px within the length that are whole pixels of the screen, too. */
export function wholeLength(length) {
  const most = Math.floor(length);
  for (let px = most; px > most - 20; px--) {
    const pixels = px * devicePixelRatio;
    if (Math.abs(pixels - Math.round(pixels)) < ROUNDING) {
      return px;
    }
  }
  return most;
}

/** The px of the base level that a pixel of the screen covers, as a power of two. */
function covered(scale) {
  return 2 ** Math.round(-Math.log2(scale));
}
