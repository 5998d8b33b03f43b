// The gallery: all published slides, found, sorted, and opened, one or several.

import { find } from "../page.js";
import { NotShown, pageUrl, scanTime } from "../published.js";
import { scaleText } from "../scale.js";
import { catalog, overviewUrl } from "./catalog.js";
import { Window } from "./window.js";

const controls = ["#search", "#objective", "#status", "#order"].map(find);
const [search, objective, status, order] = controls;
const newest = (time) => (one, other) => (time(other) ?? "").localeCompare(time(one) ?? "");
const byId = new Intl.Collator("en", { numeric: true }).compare;
const ORDERS = {
  id: (one, other) => byId(one.id, other.id),
  scanned: newest(scanTime),
  year: newest(scanTime),
  created: newest(({ created }) => created),
  size: (one, other) => other.width * other.height - one.width * one.height,
};

const selected = new Set();
let slides = [];
let reviewed = false; // or NEW would say nothing

const cards = new Window(find("#grid"), find("#cards"), card);

async function start() {
  try {
    slides = await catalog();
  } catch (error) {
    if (!(error instanceof NotShown)) {
      console.warn(error);
    }
    say(error instanceof NotShown ? error.message : "The list of the slides is damaged.");
    return;
  }
  for (const slide of slides) {
    const { slide_id, case_id } = slide.review ?? {};
    slide.words = [slide.id, slide_id, case_id, slide.scanner, slide.vendor, scanTime(slide)]
      .filter(Boolean).join(" ").toLowerCase();
  }
  offer();
  reviewed = slides.some(({ review }) => review && (review.slide_id || review.status !== "NEW"));
  status.closest("label").hidden = !reviewed;
  const powers = [...new Set(slides.map((slide) => slide.objective_power).filter(Boolean))];
  for (const power of powers.sort((one, other) => one - other)) {
    objective.add(new Option(`${power}x`, power));
  }
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const control of controls.filter((each) => !each.closest("label").hidden)) {
    control.value = asked.get(control.id) ?? control.value;
    if (control.selectedIndex === -1) {
      control.selectedIndex = 0; // what an earlier address asks for, and is not offered any more
    }
    control.addEventListener("input", update);
  }
  update();
}

/** Offers what the slides can be sorted by and searched for, and says what is not published of them. */
function offer() {
  const some = (field) => slides.some((slide) => slide[field]);
  const known = { scanned: some("scanned"), year: !some("scanned") && some("year"), created: some("created") };
  for (const option of [...order.options]) {
    if (!(known[option.value] ?? true)) {
      option.remove();
    }
  }
  search.placeholder = [
    "ID", (some("scanner") || some("vendor")) && "scanner", known.scanned && "date", known.year && "year",
  ].filter(Boolean).join(", ");
  const lacking = slides.filter(({ created }) => !created).length; // it is among the details
  find("#lacking").hidden = !lacking;
  find("#lacking").textContent = lacking === slides.length
    ? "Slide IDs, status and dates are not published here."
    : "Slide IDs, status and dates of some slides are not published here.";
}

/** Shows what is asked for, and keeps it in the address. */
function update() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = slides
    .filter((slide) => words.every((word) => slide.words.includes(word)))
    .filter((slide) => !objective.value || String(slide.objective_power) === objective.value)
    .filter((slide) => !status.value || slide.review?.status === status.value)
    .sort(ORDERS[order.value] ?? ORDERS.id);
  cards.show(found);
  find("#count").textContent = found.length === slides.length
    ? `${slides.length} slides` : `${found.length} of ${slides.length} slides`;
  say(found.length ? "" : slides.length ? "No slide matches." : "No slide is published yet.");
  const asked = new URLSearchParams();
  for (const control of controls) {
    if (control.value && control.value !== "id") {
      asked.set(control.id, control.value);
    }
  }
  history.replaceState(null, "", `#${asked}`);
}

function card(slide) {
  const item = made("li", { className: "card" });
  const link = made("a", { href: pageUrl([slide.id]) });
  const image = made("img", { loading: "lazy", decoding: "async", alt: "" });
  image.src = overviewUrl(slide);
  const facts = [
    `${slide.width} × ${slide.height} px`,
    [
      slide.objective_power && scaleText(1, slide.objective_power),
      scanTime(slide)?.slice(0, 10),
    ].filter(Boolean).join(", "),
    ...(reviewed && slide.review
      ? [[slide.review.status, slide.review.slide_id].filter(Boolean).join(", ")] : []),
  ];
  link.append(image, made("strong", { textContent: slide.id, title: slide.id }),
    ...facts.map((textContent) => made("span", { textContent })));
  const box = made("input", { type: "checkbox", checked: selected.has(slide.id) });
  box.setAttribute("aria-label", `Select ${slide.id}`);
  box.addEventListener("change", () => select(slide.id, box.checked));
  const label = made("label");
  label.append(box);
  item.append(link, label);
  return item;
}

function select(id, wanted) {
  selected[wanted ? "add" : "delete"](id);
  const open = find("#open");
  open.disabled = !selected.size;
  open.textContent = selected.size ? `Open selected (${selected.size})` : "Open selected";
}

function say(text) {
  const message = find("#message");
  message.textContent = text;
  message.hidden = !text;
}

function made(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

find("#open").addEventListener("click", () => location.assign(pageUrl([...selected])));
start();
