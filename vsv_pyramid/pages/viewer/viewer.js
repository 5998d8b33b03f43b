// The viewer's page: slides, one at a time or side by side, and all that its controls do.

import { parsed, written } from "./address.js";
import { Commands } from "./commands.js";
import { PAN, ZOOM, find, tell } from "./page.js";
import { Pane } from "./pane.js";
import { showFacts, showLengths } from "./panel.js";
import { ids, pageUrl } from "./published.js";
import { scaleText, steps } from "./scale.js";
import { snapshot } from "./snapshot.js";
import { Together } from "./together.js";

const CHECK = 60_000; // ms

const panesElement = find("#panes");
const panel = find("#panel");
const slider = find("#zoom");

let panes = [];
let active = null;
let side = false;
let page = 0;
let measuring = false;
let overviews = true;
const together = new Together();
const left = new Map(); // the view in which each slide was left

const commands = new Commands({
  fit: { key: "0", label: "Fit the window", run: () => active.fit() },
  in: { key: "+", label: "Zoom in", run: () => zoomBy(ZOOM) },
  out: { key: "-", label: "Zoom out", run: () => zoomBy(1 / ZOOM) },
  step: { key: "1 … 9", label: "Magnification, from the least", run: () => {} },
  left: { key: "ArrowLeft", label: "Move left", run: () => active.pan(-PAN, 0) },
  right: { key: "ArrowRight", label: "Move right", run: () => active.pan(PAN, 0) },
  up: { key: "ArrowUp", label: "Move up", run: () => active.pan(0, -PAN) },
  down: { key: "ArrowDown", label: "Move down", run: () => active.pan(0, PAN) },
  "rotate-left": { key: "R", label: "Rotate left", run: () => rotateBy(-90) },
  "rotate-right": { key: "r", label: "Rotate right", run: () => rotateBy(90) },
  mirror: { key: "m", label: "Mirror", run: () => active.show({ mirrored: !active.view.mirrored }) },
  ruler: { key: "l", label: "Measure lengths by dragging", run: () => measure(!measuring) },
  mark: { key: "Enter", label: "While measuring: start or end at the centre", run: mark },
  copy: { key: "c", label: "Copy the lengths", run: copyLengths },
  clear: { key: "x", label: "Clear the lengths", run: () => active.rulers.clear() },
  navigator: { key: "n", label: "Overview", run: () => overview(!overviews) },
  panel: { key: "i", label: "About the slide", run: togglePanel },
  previous: { key: "PageUp", label: "Previous slide", run: () => turnTo(page - 1) },
  next: { key: "PageDown", label: "Next slide", run: () => turnTo(page + 1) },
  side: { key: "b", label: "Side by side", run: () => arrange(!side) },
  together: { key: "t", label: "Move side by side slides together", run: toggleTogether },
  snapshot: { key: "s", label: "Save the view as PNG", run: save },
  full: { key: "f", label: "Full screen", run: toggleFullScreen },
  help: { key: "?", label: "Keys", run: () => find("#help").showModal() },
});

function start() {
  for (const link of document.querySelectorAll(".gallery")) {
    link.href = pageUrl();
  }
  find("#help dl").replaceChildren(...commands.described());
  document.body.classList.toggle("several", ids.length > 1);
  if (!ids.length) {
    const message = find("#nothing");
    message.hidden = false;
    return;
  }
  if (innerWidth < 700) {
    togglePanel();
  }
  const view = parsed(location.hash);
  page = Math.min(Math.max((view?.page ?? 1) - 1, 0), ids.length - 1);
  side = Boolean(view?.side) && ids.length > 1;
  show(view);
}

/** Fills the window with a pane a slide, and the active one's view. */
async function show(view = null) {
  for (const pane of panes) {
    pane.close();
  }
  panesElement.classList.toggle("side", side);
  const shown = side ? ids : [ids[page]];
  const elements = shown.map(addElement); // all of them first: each takes room from the others
  panes = shown.map((id, index) => addPane(id, elements[index]));
  activate(panes[side ? page : 0]);
  pressed("side", side);
  pressed("together", together.on);
  measure(measuring);
  overview(overviews);
  const mine = panes;
  await Promise.all(mine.map((pane) => pane.opened));
  if (mine !== panes) {
    return; // others are shown by now
  }
  together.relate(panes);
  if (view && active.slide) {
    jump(view);
  }
}

/** Shows the view without a movement. */
function jump(view) {
  active.show(view, true);
  active.align();
  together.follow(active);
  rest();
}

function addElement(id) {
  const element = find("#pane").content.firstElementChild.cloneNode(true);
  element.querySelector("h2").textContent = id;
  panesElement.append(element);
  return element;
}

function addPane(id, element) {
  const pane = new Pane(element);
  pane.addEventListener("open", () => pane === active && describe());
  pane.addEventListener("move", () => moved(pane));
  pane.addEventListener("rest", () => pane === active && rest());
  pane.addEventListener("measure", () => pane === active && listLengths());
  for (const name of ["pointerdown", "wheel", "focusin"]) {
    element.addEventListener(name, () => activate(pane), { capture: true, passive: true });
  }
  pane.id = id;
  pane.opened = pane.open(id);
  return pane;
}

function activate(pane) {
  if (pane !== active) {
    active = pane;
    if (side) {
      page = panes.indexOf(pane);
    }
    for (const each of panes) {
      each.element.classList.toggle("active", each === pane);
    }
    describe();
  }
}

/** Tells in toolbar and panel what the active pane shows. */
function describe() {
  document.title = `${active.id} – slide viewer`;
  find("h1").textContent = active.id;
  find("#page").textContent = `${page + 1} / ${ids.length}`;
  for (const [name, disabled] of [["previous", page === 0], ["next", page === ids.length - 1]]) {
    find(`[data-command=${name}]`).disabled = disabled;
  }
  showFacts(find("#facts"), active);
  listLengths();
  find("#steps").replaceChildren(...(active.slide ? steps(active.slide.power) : []).map(
    ([label, scale]) => {
      const button = document.createElement("button");
      button.textContent = label;
      button.addEventListener("click", () => active.show({ scale }));
      return button;
    }));
  readOut();
}

function readOut() {
  if (!active.slide) {
    return;
  }
  const { scale } = active.view;
  const text = scaleText(scale, active.slide.power);
  const [least, greatest] = active.scales.map(Math.log2);
  slider.max = greatest;
  slider.min = greatest - Math.ceil((greatest - least) / slider.step) * slider.step;
  slider.value = Math.log2(scale);
  slider.setAttribute("aria-valuetext", text);
  find("#magnification").textContent = text;
}

function moved(pane) {
  if (pane === active && pane.slide) {
    together.follow(active);
    readOut();
  }
}

function rest() {
  for (const pane of panes.filter((pane) => pane !== active && pane.slide)) {
    pane.align();
  }
  const { view } = active;
  left.set(active.id, view);
  history.replaceState(null, "", written({ ...view, side, page: page + 1 }));
}

async function turnTo(number) {
  if (number < 0 || number >= ids.length) {
    return;
  }
  if (side) {
    activate(panes[number]);
    return;
  }
  page = number;
  await show(left.get(ids[page]));
}

function arrange(beside) {
  if (ids.length > 1) {
    side = beside;
    show(active.slide && active.view);
  }
}

function zoomBy(times) {
  const [least, greatest] = active.scales;
  active.show({ scale: Math.min(Math.max(active.view.scale * times, least), greatest) });
}

function rotateBy(degrees) {
  const { rotation, mirrored } = active.view;
  active.show({ rotation: rotation + (mirrored ? -degrees : degrees) });
}

function measure(wanted) {
  measuring = wanted;
  pressed("ruler", wanted);
  for (const pane of panes) {
    pane.rulers.measuring = wanted;
  }
}

function mark() {
  if (measuring) {
    active.rulers.mark();
  }
}

function listLengths() {
  showLengths(find("#lengths"), active);
}

async function copyLengths() {
  const text = active.rulers.lengths.join("\n");
  if (text) {
    try {
      await navigator.clipboard.writeText(text);
      tell("The lengths are copied.");
    } catch {
      tell("The browser does not let this page copy; select the text instead.");
    }
  }
}

function overview(wanted) {
  overviews = wanted;
  pressed("navigator", wanted);
  for (const pane of panes) {
    pane.osd.navigator.element.hidden = !wanted;
  }
}

function togglePanel() {
  panel.hidden = !panel.hidden;
  pressed("panel", !panel.hidden);
}

function toggleTogether() {
  together.on = !together.on;
  together.relate(panes);
  pressed("together", together.on);
}

async function toggleFullScreen() {
  try {
    await (document.fullscreenElement
      ? document.exitFullscreen() : document.documentElement.requestFullscreen());
  } catch {
    tell("The browser does not let this page fill the screen.");
  }
}

async function save() {
  const blob = await snapshot(active).convertToBlob({ type: "image/png" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${active.id}-${scaleText(active.view.scale, active.slide.power).replace(":", "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  tell(`The view is saved as ${link.download}.`);
}

function pressed(name, state) {
  find(`[data-command=${name}]`).setAttribute("aria-pressed", state);
}

slider.addEventListener("input", () => active.show({ scale: 2 ** slider.value }));
addEventListener("hashchange", () => {
  const view = parsed(location.hash);
  if (view && active.slide) {
    jump(view);
  }
});
// Whether other scans were published meanwhile: when somebody comes back to the page, and once a
// minute while it is used.
let used = false;
const check = () => panes.forEach((pane) => pane.check());
addEventListener("focus", check);
for (const name of ["pointermove", "keydown", "wheel"]) {
  addEventListener(name, () => { used = true; }, { capture: true, passive: true });
}
setInterval(() => {
  if (used) {
    used = false;
    check();
  }
}, CHECK);
commands.listen({
  ready: () => Boolean(active?.slide),
  digit: (number) => find("#steps").children[number - 1]?.click(),
});
start();
