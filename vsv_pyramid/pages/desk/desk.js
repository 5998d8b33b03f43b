// The desk: a table of all slides, in which they are marked, named, deleted and sent.

import { Commands } from "../viewer/commands.js";
import { find } from "../viewer/page.js";
import { NotDone, news, posted, privateImageUrl, session, stem } from "./api.js";
import { ask } from "./asking.js";
import { Editing } from "./editing.js";
import { Asked, FILTERS, Lists } from "./listing.js";
import { Notices } from "./notices.js";
import { Reviews, names } from "./reviews.js";
import { drawRow, madeRow, queueUrl } from "./row.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";

const EVERY = 15_000; // ms
const CALLS = { good: "set", bad: "set", delete: "delete", send: "send" }; // that buttons lead to
const LONGEST = 200; // ids in the queue's address, which servers limit
const DONE = { delete: "deleted", send: "sent" };
const SETTLED = { retry: "will be tried again", dismiss: "dismissed" };

const searchBox = find("#search");

const reviews = new Reviews();
const lists = new Lists(reviews);
const rows = new Rows(find("#rows"), madeRow, (row, slide, current) =>
  drawRow(row, slide, { current, selected: selection.has(slide), editing: editing.input }));
const selection = new Selection(rows, () => {
  rows.draw();
  describe();
});
const notices = new Notices(find("#notices"), () => rows);
const editing = new Editing(find("#rows"), {
  leave: rows,
  save: saveId,
  confirm: confirmId,
  begun: (input) => closeUp(slideOf(input)),
  ended: () => {
    closeUp(null);
    update();
  },
  beside,
});

const commands = new Commands({
  next: { key: ["ArrowDown", "j"], label: "Next", run: () => rows.go(rows.index + 1) },
  previous: { key: ["ArrowUp", "k"], label: "Previous", run: () => rows.go(rows.index - 1) },
  "page-down": { key: "PageDown", label: "A page down", run: () => rows.go(rows.index + rows.page) },
  "page-up": { key: "PageUp", label: "A page up", run: () => rows.go(rows.index - rows.page) },
  first: { key: "Home", label: "First", run: () => rows.go(0) },
  last: { key: "End", label: "Last", run: () => rows.go(Infinity) },
  select: { key: ["x", " "], label: "Select (Shift and click: up to here)", run: () => selection.toggle(rows.current) },
  all: { key: "a", label: "Select all shown, or none", run: () => selection.chooseAll() },
  good: { key: "g", label: "Good", run: () => mark("GOOD") },
  bad: { key: "b", label: "Bad", run: () => mark("BAD") },
  "slide-id": { key: "i", label: "Slide ID (Enter saves and confirms, Esc gives up)", run: () => edit("slide_id") },
  "case-id": { key: "c", label: "Case ID (of all selected)", run: () => edit("case_id") },
  delete: { key: "d", label: "Delete for rescan", run: askAndDelete },
  send: { key: "s", label: "Send", run: send },
  retry: { key: "r", label: "Try again what could not be converted", run: () => settle("retry") },
  dismiss: { key: "m", label: "Dismiss what could not be converted", run: () => settle("dismiss") },
  undo: { key: "u", label: "Undo", run: undo },
  review: { key: ["v", "Enter"], label: "Review", run: review },
  search: { key: "/", label: "Search", run: () => searchBox.select() },
  notices: { key: "n", label: "To the notices", run: () => notices.focus() },
  clear: { key: "Escape", label: "Select none", run: () => selection.choose([]) },
  help: { key: "?", label: "Keys", run: () => find("#help").showModal() },
});

const asked = new Asked(location.hash);
let tag = null;
let cdr = false;
let may = [];
let refreshing = false;

async function start() {
  searchBox.value = asked.search;
  find("#help dl").replaceChildren(...commands.described());
  find("#filters").append(...Object.entries(FILTERS).map(([name, [label]]) => {
    const button = Object.assign(document.createElement("button"), { textContent: `${label} ` });
    button.dataset.filter = name;
    button.append(document.createElement("span"));
    return button;
  }));
  rows.focus();
  await refresh();
  const at = rows.items.indexOf(reviews.slides.get(asked.at));
  if (at >= 0) {
    rows.go(at);
  }
}

/** Lists what the server has by now, unless something is on its way there. */
async function refresh() {
  if (refreshing || reviews.waiting) {
    return;
  }
  refreshing = true;
  const before = reviews.asked;
  try {
    const told = await session();
    ({ cdr, may } = told);
    find("#who").textContent = may.includes("send") ? told.who : `${told.who} (${told.role})`;
    find("#no-cdr").hidden = cdr;
    const found = await news("slides", tag);
    if (found && before === reviews.asked) {
      tag = found.tag;
      lists.take(found.document);
    }
    say("");
    update();
  } catch (error) {
    const why = error instanceof NotDone ? stem(error) : "The list of the slides is damaged";
    say(`${why}; this list may be out of date.`);
    if (!(error instanceof NotDone)) {
      console.warn(error);
    }
  } finally {
    refreshing = false;
  }
}

/** Shows the slides as they are by now. */
function update() {
  find("#saving").textContent = reviews.waiting ? "Saving…" : "";
  if (editing.input) {
    rows.draw(); // no row goes while something is typed in it
    return;
  }
  lists.sort(asked.sort);
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.lastChild.textContent = lists.filtered(button.dataset.filter).length;
  }
  list();
}

/** Lists what is asked for, and keeps that in the address. */
function list() {
  const found = lists.found(asked);
  selection.prune(found);
  rows.show(found);
  describe();
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.ariaPressed = button.dataset.filter === asked.filter;
  }
  for (const heading of document.querySelectorAll("[data-sort]")) {
    const { sort } = heading.dataset;
    heading.ariaSort = { [sort]: "ascending", [`-${sort}`]: "descending" }[asked.sort] ?? "none";
  }
  if (asked.hash !== location.hash) {
    history.replaceState(null, "", asked.hash);
  }
}

/** Tells how many there are, and what can be done with them. */
function describe() {
  const all = lists.filtered(FILTERS[asked.filter][1] ? "all" : asked.filter).length;
  find("#count").textContent = [
    `${rows.items.length} of ${all} slides`, selection.size && `${selection.size} selected`,
  ].filter(Boolean).join(", ");
  find("#empty").hidden = rows.items.length > 0 || !tag;
  find("#empty").textContent = all ? "No slide matches." : "There are no slides here.";
  for (const name of [...Object.keys(CALLS), "review"]) {
    const isRefused = name in CALLS && !may.includes(CALLS[name]);
    find(`[data-command=${name}]`).disabled =
      !selection.targets.length || isRefused || (name === "send" && !cdr);
  }
  for (const name of Object.keys(SETTLED)) {
    const button = find(`[data-command=${name}]`);
    button.hidden = asked.filter !== "failed";
    button.disabled = !selection.failed.length || !may.includes(name);
  }
  find("[data-command=undo]").disabled = !reviews.canUndo;
  const box = find("#all");
  box.checked = selection.isAll;
  box.indeterminate = selection.size > 0 && !box.checked;
}

function mark(status) {
  const marked = reviews.set(selection.targets, { status });
  tell(marked.length ? `${names(marked)}: ${status}` : `It is ${status} already.`);
}

function undo() {
  tell(reviews.undo().text);
}

function send() {
  const slides = selection.targets;
  if (cdr && slides.length) {
    ask(find("#sending"), slides, () => reviews.send(slides));
  } else if (!cdr) {
    tell(`Nothing can be sent: ${find("#no-cdr").textContent}.`);
  }
}

/** Has what could not be converted tried again, or dismisses it. */
async function settle(path) {
  const slides = selection.failed;
  if (!slides.length) {
    return;
  }
  try {
    const results = await posted(path, { slides: slides.map(({ id }) => ({ id, revision: 0 })) });
    const errors = new Map(results.map(({ id, error }) => [id, error]));
    for (const slide of slides.filter(({ id }) => errors.get(id))) {
      notices.add({ slide, text: errors.get(slide.id) });
    }
    const done = slides.filter(({ id }) => errors.has(id) && !errors.get(id));
    tell(done.length ? `${names(done)}: ${SETTLED[path]}` : "");
  } catch (error) {
    if (!(error instanceof NotDone)) {
      throw error;
    }
    notices.add({ text: `${stem(error)}; nothing is known to be done.` });
  }
  selection.choose([]);
  refresh();
}

function askAndDelete() {
  const slides = selection.targets;
  if (slides.length) {
    ask(find("#deleting"), slides, (source) => reviews.delete(slides, source));
  }
}

/** Goes to the queue, once all is saved and nothing is left to be looked at here. */
async function review() {
  const chosen = selection.size ? selection.targets
    : rows.items.filter((slide) => !slide.awaiting && !slide.failed);
  if (!chosen.length) {
    return;
  }
  const at = chosen.includes(rows.current) ? rows.current : chosen[0];
  const from = chosen.length > LONGEST ? chosen.indexOf(at) : 0;
  await reviews.idle;
  if (notices.length) {
    notices.focus();
  } else {
    sessionStorage.setItem("desk", location.hash);
    location.assign(queueUrl(chosen.slice(from, from + LONGEST).map(({ id }) => id), at.id));
  }
}

function edit(field) {
  rows.go(rows.index);
  rows.row(rows.current)?.querySelector(`[data-field=${field}]`)?.focus();
}

/** Saves what was typed; a case's ID for all that are selected, if the slide is one of them. */
function saveId(input, before) {
  const { field } = input.dataset;
  const slide = slideOf(input);
  const changes = { [field]: input.value || null };
  const others = field === "case_id" && selection.has(slide)
    ? selection.targets.filter((each) => each !== slide) : [];
  reviews.setFrom(slide, { [field]: before || null }, changes);
  warnOfDouble(slide, changes);
  if (reviews.set(others, changes).length) {
    tell(`Case ID of ${names([slide, ...others])}: ${input.value || "none"}`);
  }
}

/** Confirms a slide ID that was only read off the label, as it is shown. */
function confirmId(input) {
  const slide = slideOf(input);
  if (input.dataset.field === "slide_id" && reviews.confirm(slide, input.value)) {
    tell(`${slide.id}: slide ID ${input.value} confirmed`);
  }
}

/** Says so where another slide has the same slide ID. */
function warnOfDouble(slide, { slide_id: slideId }) {
  const other = slideId && [...reviews.slides.values()].find(
    (each) => each !== slide && each.review.slide_id === slideId);
  if (other) {
    notices.add({ slide, text: `The slide ${other.id} has the slide ID ${slideId}, too.` });
  }
}

/** Where Tab leads to: the other ID, or one of the row beside it. */
function beside(input, back) {
  const step = back ? -1 : 1;
  const fields = [...input.closest("tr").querySelectorAll("[data-field]")];
  const other = fields[fields.indexOf(input) + step];
  const place = rows.index + step;
  if (other || !rows.items[place]) {
    return other ?? rows;
  }
  rows.go(place);
  return [...rows.row(rows.current).querySelectorAll("[data-field]")].at(back ? -1 : 0);
}

/** Shows the slide's label large, where it has one. */
function closeUp(slide) {
  const image = find("#close-up");
  image.hidden = !slide?.review.label;
  if (!image.hidden) {
    image.src = privateImageUrl(slide, "label");
  }
}

function slideOf(element) {
  const id = element.closest("tr")?.dataset.id;
  return id && rows.items.find((slide) => slide.id === id);
}

function tell(text) {
  find("#told").textContent = text;
}

function say(text) {
  const state = find("#state");
  state.textContent = text;
  state.hidden = !text;
}

function makeCurrent({ target }) {
  const slide = slideOf(target);
  if (slide && slide !== rows.current) {
    rows.current = slide; // without a movement: the pointer may be pressed on it
    rows.draw();
    describe();
  }
  if (slide && !target.matches("[data-field]")) {
    rows.focus();
  }
}

const LISTENERS = [
  ["#rows", "focusin", makeCurrent],
  ["#rows", "click", (event) => {
    const { target, shiftKey, ctrlKey, metaKey } = event;
    makeCurrent(event);
    if (target.matches("td [type=checkbox]")) {
      selection.toggle(slideOf(target), shiftKey);
    } else if (target.matches("td a") && !(shiftKey || ctrlKey || metaKey)) {
      event.preventDefault();
      review();
    }
  }],
  ["#rows", "pointerover", ({ target }) =>
    editing.input || closeUp(target.matches(".label img") ? slideOf(target) : null)],
  ["#rows", "pointerleave", () => editing.input || closeUp(null)],
  ["thead", "click", ({ target }) => {
    const name = target.closest("[data-sort]")?.dataset.sort;
    if (name) {
      asked.sortBy(name);
      update();
    }
  }],
  ["#all", "change", () => {
    selection.chooseAll();
    rows.focus();
  }],
  ["#filters", "click", ({ target }) => {
    asked.filter = target.closest("[data-filter]")?.dataset.filter ?? asked.filter;
    list();
  }],
  ["#actions", "click", () => rows.focus()],
  ["#search", "input", () => {
    asked.search = searchBox.value;
    list();
  }],
  ["#search", "keydown", (event) => {
    if (["Escape", "Enter", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      rows.focus();
    }
  }],
  ["#deleting", "close", () => rows.focus()],
  ["#sending", "close", () => rows.focus()],
];
for (const [selector, name, run] of LISTENERS) {
  find(selector).addEventListener(name, run);
}
reviews.addEventListener("change", update);
reviews.addEventListener("notice", ({ detail }) => {
  tell(""); // it may have said the contrary
  notices.add(detail);
});
reviews.addEventListener("done", ({ detail: { path, slides } }) => {
  tell(`${names(slides)}: ${DONE[path]}, which cannot be undone`);
  reviews.idle.then(refresh); // what is deleted awaits its rescan
});
for (const name of ["focus", "pageshow"]) {
  addEventListener(name, refresh);
}
addEventListener("beforeunload", (event) =>
  (reviews.waiting || notices.length || editing.input) && event.preventDefault());
setInterval(refresh, EVERY);
commands.listen();
start();
