// The queue: one slide after the other, large, to be marked and named.

import { Commands } from "../viewer/commands.js";
import { PAN, ZOOM, find, tell } from "../viewer/page.js";
import { Pane } from "../viewer/pane.js";
import { ids } from "../viewer/published.js";
import { NotDone, news, stem } from "./api.js";
import { Editing } from "./editing.js";
import { historyItems, pictures } from "./history.js";
import { Notices } from "./notices.js";
import { Reviews, UNCONFIRMED, isUnconfirmed } from "./reviews.js";

const EVERY = 15_000; // ms
const BARCODES = {
  read: "barcode read",
  unreadable: "barcode unreadable",
  "no label": "no label",
  "no reader": "barcodes are not read",
};

const note = find("#note");
const fields = document.querySelectorAll("[data-field]");

const reviews = new Reviews();
const drafts = new Map(); // notes that no change has taken along yet
const notices = new Notices(find("#notices"), () => find("h1"));
const editing = new Editing(find("#panel"), { leave: find("h1"), save: saveId, confirm: confirmId, ended: describe });

const commands = new Commands({
  good: { key: "g", label: "Good", run: () => mark("GOOD") },
  bad: { key: "b", label: "Bad", run: () => mark("BAD") },
  "slide-id": { key: "i", label: "Slide ID (Enter saves and confirms, Esc gives up)", run: () => fields[0].focus() },
  "case-id": { key: "c", label: "Case ID", run: () => fields[1].focus() },
  note: { key: "e", label: "Note", run: () => note.focus() },
  back: { key: ["PageUp", "k"], label: "Back", run: () => turnTo(page - 1) },
  next: { key: ["PageDown", "j"], label: "Next", run: () => turnTo(page + 1) },
  undo: { key: "u", label: "Undo", run: undo },
  notices: { key: "n", label: "To the notices", run: () => notices.focus() },
  table: { key: "Escape", label: "Table", run: leave },
  left: { key: "ArrowLeft", label: "Move left", run: () => move((shown) => shown.pan(-PAN, 0)) },
  right: { key: "ArrowRight", label: "Move right", run: () => move((shown) => shown.pan(PAN, 0)) },
  up: { key: "ArrowUp", label: "Move up", run: () => move((shown) => shown.pan(0, -PAN)) },
  down: { key: "ArrowDown", label: "Move down", run: () => move((shown) => shown.pan(0, PAN)) },
  fit: { key: "0", label: "Fit the window", run: () => move((shown) => shown.fit()) },
  in: { key: "+", label: "Zoom in", run: () => move((shown) => zoom(shown, ZOOM)) },
  out: { key: "-", label: "Zoom out", run: () => move((shown) => zoom(shown, 1 / ZOOM)) },
  help: { key: "?", label: "Keys", run: () => find("#help").showModal() },
});

let page = 0; // ids.length, once the last one is left
let pane = null;
let told = null; // what the server told of the slide last: {id, revision}

async function start() {
  find("#help dl").replaceChildren(...commands.described());
  find("#end a").href = tableUrl();
  try {
    const { document: { slides } } = await news("slides");
    reviews.list(slides.filter(({ id }) => ids.includes(id)));
  } catch (error) {
    fail(error);
  }
  turnTo(Math.max(0, ids.indexOf(location.hash.slice(1))));
}

function current() {
  return reviews.slides.get(ids[page]);
}

function turnTo(number) {
  if (number < 0 || number > ids.length) {
    return;
  }
  keepNote();
  page = number;
  told = null;
  pane?.close();
  pane = null;
  const id = ids[page];
  if (id) {
    const element = find("#pane").content.firstElementChild.cloneNode(true);
    element.querySelector("h2").textContent = id;
    find("#panes").append(element);
    pane = new Pane(element);
    pane.open(id);
    history.replaceState(null, "", `#${id}`);
  }
  find("#pictures").replaceChildren();
  find("#history ol").replaceChildren();
  note.value = drafts.get(id) ?? "";
  describe();
}

/** Tells what is known of the slide by now. */
function describe() {
  const slide = current();
  const id = ids[page];
  document.title = id ? `${id} – review` : "Review";
  find("h1").textContent = id ?? "Review";
  find("#page").textContent = id ? `${page + 1} of ${ids.length}` : "";
  find("#saving").textContent = reviews.waiting ? "Saving…" : "";
  find("#end").hidden = Boolean(id);
  find("fieldset").disabled = !slide;
  find("[data-command=back]").disabled = page === 0;
  find("[data-command=next]").disabled = !id;
  find("[data-command=undo]").disabled = !reviews.canUndo;
  const review = slide?.review ?? {};
  for (const input of fields) {
    if (input !== editing.input) {
      input.value = review[input.dataset.field] ?? "";
    }
  }
  find(".status").textContent = review.status ?? "";
  find(".status").dataset.status = review.status ?? "";
  find("#unconfirmed").textContent = isUnconfirmed(review) ? UNCONFIRMED : "";
  find("#barcode").textContent = BARCODES[review.barcode] ?? "";
  if (document.activeElement === document.body) {
    find("h1").focus(); // a button that is disabled loses it
  }
  if (slide && !slide.pending.length && (told?.id !== id || told.revision !== review.revision)) {
    told = { id, revision: review.revision };
    look(slide);
  }
}

/** Shows the slide's images and its history. */
async function look(slide) {
  try {
    const { document: found } = await news(`slides/${slide.id}`);
    if (slide !== current()) {
      return;
    }
    find("#history ol").replaceChildren(...historyItems(found.history));
    if (!find("#pictures").children.length) {
      find("#pictures").append(...pictures(slide, found.images));
    }
    if (!slide.pending.length && found.review.revision > slide.saved.revision) {
      reviews.adopt({ id: slide.id, review: found.review });
      told.revision = found.review.revision;
      describe();
    }
  } catch (error) {
    fail(error);
  }
}

/** Marks the slide; a good one's slide ID is confirmed by it, since it is seen beside the label. */
function mark(status) {
  const slide = current();
  if (slide) {
    const { slide_id: slideId } = slide.review;
    const confirms = status === "GOOD" && isUnconfirmed(slide.review) && isLabelSeen();
    reviews.set([slide], { status, ...(confirms && { slide_id: slideId }) }, taken(slide));
    tell(`${slide.id}: ${status}${confirms ? `, slide ID ${slideId} confirmed` : ""}`);
    turnTo(page + 1);
  }
}

function isLabelSeen() {
  const label = find("#pictures .label img");
  return Boolean(label?.complete && label.naturalWidth);
}

function saveId(input, before) {
  const { field } = input.dataset;
  const slide = current();
  reviews.setFrom(slide, { [field]: before || null }, { [field]: input.value || null }, taken(slide));
}

/** Confirms a slide ID that was only read off the label, as it is shown. */
function confirmId(input) {
  const slide = current();
  if (input.dataset.field === "slide_id" && reviews.confirm(slide, input.value)) {
    tell(`${slide.id}: slide ID ${input.value} confirmed`);
  }
}

/** Saves the note of a slide that is left without another change. */
function keepNote() {
  const slide = current();
  const text = slide && taken(slide);
  if (text) {
    reviews.set([slide], {}, text);
  }
}

/** The note for a change to take along. */
function taken(slide) {
  const text = drafts.get(slide.id)?.trim();
  drafts.delete(slide.id);
  note.value = "";
  return text;
}

/** Undoes the last step, and shows the slide that it was of. */
function undo() {
  const { slides, text } = reviews.undo();
  tell(text);
  const at = ids.indexOf(slides[0]?.id);
  if (at >= 0 && at !== page) {
    turnTo(at);
  }
}

/** Goes to the table, once all is saved and nothing is left to be looked at here. */
async function leave() {
  keepNote();
  await reviews.idle;
  if (notices.length) {
    notices.focus();
  } else {
    location.assign(tableUrl());
  }
}

/** The table as it was left, at the slide that is shown. */
function tableUrl() {
  const kept = new URLSearchParams(sessionStorage.getItem("desk")?.slice(1));
  kept.set("at", ids[page] ?? ids.at(-1) ?? "");
  return `./#${kept}`;
}

function move(run) {
  if (pane?.slide) {
    run(pane);
  }
}

function zoom(shown, times) {
  const [least, greatest] = shown.scales;
  shown.show({ scale: Math.min(Math.max(shown.view.scale * times, least), greatest) });
}

function fail(error) {
  const expected = error instanceof NotDone;
  notices.add({ text: `${expected ? stem(error) : "Something went wrong"}; reload the page.` });
  if (!expected) {
    console.warn(error);
  }
}

note.addEventListener("input", () => {
  drafts.set(ids[page], note.value);
  note.value || drafts.delete(ids[page]);
});
note.addEventListener("keydown", (event) => {
  if (["Enter", "Escape"].includes(event.key)) {
    find("h1").focus();
  }
});
find("#end a").addEventListener("click", (event) => {
  event.preventDefault();
  leave();
});
reviews.addEventListener("change", describe);
reviews.addEventListener("notice", ({ detail }) => {
  tell(""); // it may have said the contrary
  notices.add(detail);
});
addEventListener("hashchange", () => {
  const at = ids.indexOf(location.hash.slice(1));
  if (at >= 0 && at !== page) {
    turnTo(at);
  }
});
addEventListener("beforeunload", (event) =>
  (reviews.waiting || drafts.size || notices.length || editing.input) && event.preventDefault());
setInterval(() => current() && look(current()), EVERY);
commands.listen();
start();
