// What all pages have: a way to their elements, a line that tells, and how far a key goes.

export const PAN = 0.25; // of the pane, a key press
export const ZOOM = 1.5; // times, a key press

const TOLD = 4000; // ms

export const find = (selector) => document.querySelector(selector);

/** A sentence that goes by itself. */
export function tell(text) {
  const place = find("#told");
  place.textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => place.replaceChildren(), TOLD);
}
