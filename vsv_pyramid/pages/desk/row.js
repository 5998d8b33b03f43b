// A slide as a row of the table.

import { overviewUrl } from "../viewer/gallery/catalog.js";
import { scanTime } from "../viewer/published.js";
import { privateImageUrl } from "./api.js";
import { UNCONFIRMED, isUnconfirmed } from "./reviews.js";

const DOING = { set: "saving…", delete: "deleting…", send: "sending…" };
const when = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });

/** A new row, for a slide, for one that awaits its rescan, or for one that could not be converted. */
export function madeRow(slide) {
  const row = made("tr");
  row.id = `row-${slide.id}`;
  row.dataset.id = slide.id;
  const box = made("input", { type: "checkbox", tabIndex: -1, ariaLabel: `Select ${slide.id}` });
  const cells = slide.awaiting ? [
    [], [], [],
    [slide.id],
    [idText(slide.slide_id), mark(slide)],
    [idText(slide.case_id)],
  ] : slide.failed ? [
    [box], [], [],
    [slide.id],
    [made("span", { className: "why" })],
  ] : [
    [box],
    [picture(overviewUrl(slide))],
    slide.review.label ? [picture(privateImageUrl(slide, "label"))] : [],
    [made("a", { href: queueUrl([slide.id], slide.id), textContent: slide.id, title: slide.id, tabIndex: -1 })],
    [field(slide, "slide_id", "Slide ID"), mark(slide)],
    [field(slide, "case_id", "Case ID")],
  ];
  cells.push(
    [made("span", { className: "status" })], [scanTime(slide)?.slice(0, 16).replace("T", " ") ?? ""], []);
  for (const content of cells) {
    const cell = made("td");
    cell.append(...content);
    row.append(cell);
  }
  row.cells[2].className = "label";
  if (slide.failed) {
    row.cells[4].colSpan = 2;
  } else {
    row.cells[4].className = "slide-id";
    drawMark(row, slide.review ?? slide);
  }
  return row;
}

/** Makes the row show what the slide is by now. */
export function drawRow(row, slide, { current, selected, editing }) {
  row.classList.toggle("current", current);
  row.ariaSelected = selected;
  const [status, changed] = [row.querySelector(".status"), row.lastChild];
  if (slide.awaiting) {
    write(status, "awaiting");
    write(changed, changeText(slide.when, slide.who));
    return;
  }
  row.querySelector("[type=checkbox]").checked = selected;
  if (slide.failed) {
    const why = row.querySelector(".why");
    write(why, slide.reason);
    why.title = slide.reason;
    write(status, slide.again ? "tried again soon" : "failed");
    write(changed, changeText(slide.again || slide.failed_at, slide.again && slide.who));
    return;
  }
  const { review, pending } = slide;
  for (const input of row.querySelectorAll("[data-field]")) {
    if (input !== editing) {
      input.value = review[input.dataset.field] ?? "";
    }
  }
  drawMark(row, review);
  status.dataset.status = review.status;
  write(status, review.status);
  row.ariaBusy = pending.length > 0;
  write(changed, pending.length ? DOING[pending.at(-1).path] : changeText(review.changed, review.who));
}

/** The URL of the queue of these slides, at one of them. */
export function queueUrl(ids, at) {
  return `queue.html?id=${ids.join(",")}#${at}`;
}

/** A moment in the time of who looks. */
export function timeText(moment) {
  return moment ? when.format(new Date(moment)) : "";
}

/** Marks the slide ID where it was only read off the label. */
function drawMark(row, review) {
  const [shown] = row.cells[4].children;
  const mark = row.querySelector(".unconfirmed");
  mark.hidden = !isUnconfirmed(review);
  if (mark.hidden) {
    shown.removeAttribute("aria-describedby");
  } else {
    shown.setAttribute("aria-describedby", mark.id);
  }
}

function mark({ id }) {
  const element = made("span", {
    id: `unconfirmed-${id}`, className: "unconfirmed", textContent: "?", title: UNCONFIRMED,
  });
  element.role = "img";
  element.ariaLabel = UNCONFIRMED;
  return element;
}

function idText(textContent) {
  return made("span", { className: "id", textContent });
}

function changeText(moment, who) {
  return [timeText(moment), who].filter(Boolean).join(", ");
}

function field({ id, review }, name, label) {
  const input = made("input", { tabIndex: -1, autocomplete: "off", spellcheck: false });
  input.ariaLabel = `${label} of ${id}`;
  input.dataset.field = name;
  input.placeholder = name === "slide_id" && review.barcode === "unreadable" ? "barcode unreadable" : "none";
  return input;
}

function picture(src) {
  return made("img", { loading: "lazy", decoding: "async", alt: "", src });
}

/** Writes only what is new, for no reader to say it again. */
function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function made(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
