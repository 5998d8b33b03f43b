// Lengths and magnifications: arithmetic, and how it is written.

const OBJECTIVES = [1.25, 2.5, 5, 10, 20, 40, 60, 80, 100];
const SHRINKS = [16, 8, 4, 2, 1];

/** The largest of 1, 2, 5, 10, 20... that is no more than `length`. */
export function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((step) => step * power <= length * (1 + 1e-9)) * power;
}

/** A length in um, or in px where there is no mpp, as text. */
export function lengthText(length, unit = "µm") {
  return unit === "µm" && length >= 1000
    ? `${significant(length / 1000)} mm`
    : `${significant(length)} ${unit}`;
}

/** The length in um from one point to another (in px), or in px without an mpp: [length, unit]. */
export function distance(from, to, mpp) {
  const [x, y] = [to.x - from.x, to.y - from.y];
  return mpp ? [Math.hypot(x * mpp.x, y * mpp.y), "µm"] : [Math.hypot(x, y), "px"];
}

/** Microns per pixel along a direction, in degrees from the x axis. */
export function mppAlong(mpp, degrees) {
  const angle = (degrees * Math.PI) / 180;
  return Math.hypot(Math.cos(angle) * mpp.x, Math.sin(angle) * mpp.y);
}

/** The steps to offer: [label, scale], a scale being screen pixels per pixel of the slide. */
export function steps(power) {
  if (!power) {
    return SHRINKS.map((shrink) => [`1:${shrink}`, 1 / shrink]);
  }
  const below = OBJECTIVES.filter((objective) => objective < power);
  return [...below, power].map((objective) => [`${objective}x`, objective / power]);
}

/** A scale as the magnification it is, or as a ratio where the objective is not known. */
export function scaleText(scale, power) {
  if (power) {
    return `${significant(scale * power)}x`;
  }
  return scale < 1 ? `1:${significant(1 / scale)}` : `${significant(scale)}:1`;
}

function significant(value) {
  return String(value >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}
