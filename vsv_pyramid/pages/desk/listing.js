// The slides of the table: which of them, and in which order.

import { scanTime } from "../viewer/published.js";

const STATUSES = ["NEW", "BAD", "GOOD", "SENT"];
const byText = new Intl.Collator("en", { numeric: true }).compare;
const has = (status) => ({ review }) => review.status === status;

/** The quick filters: [label, predicate]; one without a predicate is of a list of its own. */
export const FILTERS = {
  all: ["All", () => true],
  new: ["New", has("NEW")],
  bad: ["Bad", has("BAD")],
  "without-id": ["Without ID", ({ review }) => !review.slide_id || !review.case_id],
  good: ["Good", has("GOOD")],
  sent: ["Sent", has("SENT")],
  awaiting: ["Awaiting rescan"],
  failed: ["Could not be converted"],
};

const ORDERS = {
  id: text((slide) => slide.id),
  slide_id: text((slide) => slide.review.slide_id),
  case_id: text((slide) => slide.review.case_id),
  status: (one, other) => STATUSES.indexOf(one.review.status) - STATUSES.indexOf(other.review.status),
  scanned: text(scanTime),
  changed: text((slide) => slide.review.changed),
};

const USUAL = { filter: "all", search: "", sort: "id" };

/** What is asked for: a filter, words to search for, and the column to sort by, "-" before it for down. */
export class Asked {
  /** As the address has it, which may say `at` which slide to begin, too. */
  constructor(hash) {
    const given = new URLSearchParams(hash.slice(1));
    for (const name of [...Object.keys(USUAL), "at"]) {
      this[name] = given.get(name) ?? USUAL[name];
    }
    if (!Object.hasOwn(FILTERS, this.filter)) {
      this.filter = USUAL.filter;
    }
  }

  get hash() {
    const kept = Object.keys(USUAL).filter((name) => this[name] !== USUAL[name]);
    return `#${new URLSearchParams(kept.map((name) => [name, this[name]]))}`;
  }

  /** Sorts by the column, or the other way round. */
  sortBy(name) {
    this.sort = this.sort === name ? `-${name}` : name;
  }
}

/** All that is listed: the slides, those that await their rescan, and those that could not be converted. */
export class Lists {
  constructor(reviews) {
    this._reviews = reviews;
    this._slides = []; // in order
    this._others = { awaiting: [], failed: [] };
  }

  /** Takes what the server lists; what was listed before stays the same object. */
  take({ slides, ...others }) {
    this._reviews.list(slides);
    this._slides = [...this._reviews.slides.values()];
    for (const [name, listed] of Object.entries(this._others)) {
      const before = new Map(listed.map((slide) => [slide.id, slide]));
      this._others[name] = others[name].map((slide) => Object.assign(
        before.get(slide.id) ?? { [name]: true }, slide, { words: words({ ...slide, review: slide }) }));
    }
  }

  /** Sorts what is still there. */
  sort(column) {
    const { slides } = this._reviews;
    this._slides = this._slides.filter(({ id }) => slides.has(id)).sort(order(column));
  }

  /** What a filter lets through. */
  filtered(name) {
    const [, wanted] = FILTERS[name];
    return wanted ? this._slides.filter(wanted) : this._others[name];
  }

  /** What is to be seen. */
  found(asked) {
    return this.filtered(asked.filter).filter(search(asked.search));
  }
}

/** The comparison by a column, downwards with a "-" before its name; equals are told by their ids. */
function order(name) {
  const compare = ORDERS[name.replace("-", "")] ?? ORDERS.id;
  const direction = name.startsWith("-") ? -1 : 1;
  return (one, other) => direction * compare(one, other) || byText(one.id, other.id);
}

/** What a search looks through, in lower case. */
export function words(slide) {
  const { id, file, scanner, reason, review } = slide;
  return [id, file, reason, review.slide_id, review.case_id, scanner, scanTime(slide)].filter(Boolean).join(" ").toLowerCase();
}

/** Whether a slide's words have all that is searched for. */
function search(text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (slide) => parts.every((part) => slide.words.includes(part));
}

function text(value) {
  return (one, other) => byText(value(one) ?? "", value(other) ?? "");
}
