// The slides of the table: which of them, and in which order.

const STATUSES = ["NEW", "BAD", "GOOD", "SENT"];
const byText = new Intl.Collator("en", { numeric: true }).compare;
const has = (status) => ({ review }) => review.status === status;

/** The quick filters: [label, predicate]; one without a predicate is of another list. */
export const FILTERS = {
  all: ["All", () => true],
  new: ["New", has("NEW")],
  bad: ["Bad", has("BAD")],
  "without-id": ["Without ID", ({ review }) => !review.slide_id || !review.case_id],
  good: ["Good", has("GOOD")],
  sent: ["Sent", has("SENT")],
  awaiting: ["Awaiting rescan"],
};

const ORDERS = {
  id: text((slide) => slide.id),
  slide_id: text((slide) => slide.review.slide_id),
  case_id: text((slide) => slide.review.case_id),
  status: (one, other) => STATUSES.indexOf(one.review.status) - STATUSES.indexOf(other.review.status),
  scanned: text((slide) => slide.scanned),
  changed: text((slide) => slide.review.changed),
};

/** The comparison by a column, downwards with a "-" before its name; equals are told by their ids. */
export function order(name) {
  const compare = ORDERS[name.replace("-", "")] ?? ORDERS.id;
  const direction = name.startsWith("-") ? -1 : 1;
  return (one, other) => direction * compare(one, other) || byText(one.id, other.id);
}

/** What a search looks through, in lower case. */
export function words({ id, scanner, scanned, review }) {
  return [id, review.slide_id, review.case_id, scanner, scanned].filter(Boolean).join(" ").toLowerCase();
}

/** Whether a slide's words have all that is searched for. */
export function search(text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (slide) => parts.every((part) => slide.words.includes(part));
}

function text(value) {
  return (one, other) => byText(value(one) ?? "", value(other) ?? "");
}
