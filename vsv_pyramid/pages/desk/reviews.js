// The reviews as they are seen here: what the server said last, and what is on its way to it.

import { NotDone, posted, stem } from "./api.js";
import { words } from "./listing.js";

const MOST = 50; // slides a request: of many, the rows are answered bit by bit
export const FIELDS = { status: "status", slide_id: "slide ID", case_id: "case ID" };
export const UNCONFIRMED = "read off the label, not confirmed";
const LOST = {
  set: (slides) => `saving the change of ${names(slides)} may have failed.`,
  delete: (slides) => `deleting ${names(slides)} may have failed.`,
  send: (slides) => `sending ${names(slides)} may have failed.`,
};

export class Reviews extends EventTarget {
  /**
   * Events: "change" of what is seen, "done" with what cannot be undone ({path, slides}), "notice" of
   * what did not go as it was meant to ({slide, text, path, again}).
   */
  constructor() {
    super();
    this.slides = new Map();
    this.waiting = 0; // requests
    this.asked = 0; // requests, ever
    this.idle = Promise.resolve();
    this._steps = []; // what can be undone: Maps from a slide to {before, after}
  }

  /** Takes a list of slides, as the server has them, for the one before. */
  list(entries) {
    const before = this.slides;
    this.slides = new Map(entries.map((entry) => [entry.id, before.get(entry.id) ?? { pending: [] }]));
    entries.forEach((entry) => this.adopt(entry));
  }

  /** Takes what the server says of a slide that is listed. */
  adopt(entry) {
    const slide = this.slides.get(entry.id);
    show(Object.assign(slide, entry, { saved: entry.review }));
  }

  get canUndo() {
    return this._steps.length > 0;
  }

  /**
   * Sets what the changes name, where it is not so already, as one step; a note goes along always. A
   * slide ID is confirmed by it, unless the changes say `confirmed` otherwise; to confirm the same is no
   * step, since the log cannot take it back.
   */
  set(slides, changes, note) {
    const wanted = "slide_id" in changes ? { confirmed: true, ...changes } : changes;
    const { confirmed, ...fields } = wanted;
    const others = slides.filter((slide) => note || !is(slide, wanted));
    if (others.length) {
      const step = new Map(others.filter((slide) => !is(slide, fields)).map((slide) =>
        [slide, { before: part(slide, wanted), after: wanted }]));
      if (step.size) {
        this._steps.push(step);
      }
      this._ask("set", others, { changes: wanted, ...(note && { note }) }, step);
    }
    return others;
  }

  /** Sets what the changes name unless it is no longer as it was `before`: then, asks. */
  setFrom(slide, before, changes, note) {
    if (is(slide, before)) {
      this.set([slide], changes, note);
    } else {
      this._isOther(slide, changes, note);
    }
  }

  /** Confirms the slide ID that is seen, where it was only read; returns whether that is asked for. */
  confirm(slide, seen) {
    const wanted = isUnconfirmed(slide.review) && slide.review.slide_id === seen;
    if (wanted) {
      this.set([slide], { slide_id: seen });
    }
    return wanted;
  }

  delete(slides, source) {
    this._ask("delete", slides, { source });
  }

  send(slides) {
    this._ask("send", slides, {});
  }

  /** Sets back what the last step changed, but for what others changed since: {slides, text}. */
  undo() {
    if (!this.canUndo) {
      return { slides: [], text: "There is nothing to undo." };
    }
    const step = [...this._steps.pop()];
    const [mine, others] = [true, false].map(
      (wanted) => step.filter(([slide, { after }]) => is(slide, after) === wanted));
    for (const [slide, { before }] of others) {
      this._isOther(slide, before);
    }
    for (const group of Map.groupBy(mine, ([, { before }]) => JSON.stringify(before)).values()) {
      this._ask("set", group.map(([slide]) => slide), { changes: group[0][1].before });
    }
    const slides = mine.map(([slide]) => slide);
    const fields = Object.keys(step[0][1].before).map((name) => FIELDS[name]).filter(Boolean);
    const text = mine.length ? `Undone: ${fields.join(", ")} of ${names(slides)}` : "Nothing is undone.";
    return { slides, text };
  }

  /** Queues the requests, one after the other: each needs the revisions of the one before. */
  _ask(path, slides, body, step) {
    for (let at = 0; at < slides.length; at += MOST) {
      const job = { path, body, step, slides: slides.slice(at, at + MOST) };
      for (const slide of job.slides) {
        slide.pending.push(job);
        show(slide);
      }
      this.waiting++;
      this.asked++;
      this.idle = this.idle.then(() => this._run(job));
    }
    this._emit("change");
  }

  async _run(job) {
    const slides = job.slides.filter((slide) => slide.pending.includes(job));
    try {
      const revisions = slides.map(({ id, saved }) => ({ id, revision: saved.revision }));
      const results = slides.length ? await posted(job.path, { slides: revisions, ...sent(job.body) }) : [];
      const found = new Map(results.map((result) => [result.id, result]));
      const done = slides.filter((slide) =>
        this._answered(job, slide, found.get(slide.id) ?? { error: "The server says nothing of it." }));
      if (done.length && job.path !== "set") {
        this._emit("done", { path: job.path, slides: done });
      }
    } catch (error) {
      const changes = job.body.changes ?? {};
      const before = new Map(slides.map((slide) => [slide, part({ review: slide.saved }, changes)]));
      for (const slide of slides) {
        settle(slide, [job]);
      }
      const expected = error instanceof NotDone;
      const why = expected ? stem(error) : "Something went wrong in this page";
      const mine = wish(changes);
      this._emit("notice", {
        text: `${why}; ${LOST[job.path](slides)}${mine && ` (Not set: ${mine}.)`}`,
        path: "again",
        again: error.cause !== 400 && (() => this._tryAgain(slides, job, before)),
      });
      if (!expected) {
        console.warn(error);
      }
    }
    this._steps = this._steps.filter((step) => step.size);
    this.waiting--;
    this._emit("change");
  }

  /** Takes the answer for a slide, and returns whether it was done. */
  _answered(job, slide, { review, error, conflict }) {
    slide.saved = review ?? slide.saved;
    if (error) {
      // Later changes were made without knowing what the server says now.
      const refused = conflict ? slide.pending.slice(slide.pending.indexOf(job)) : [job];
      settle(slide, refused);
      const mine = wish(Object.assign({}, ...refused.map(({ body }) => body.changes)));
      this._emit("notice", {
        slide,
        text: mine ? `${error} (Not set: ${mine}.)` : error,
        path: job.path,
        again: conflict && (() => this._repeat([slide], refused)),
      });
      return false;
    }
    if (job.path === "set") {
      job.step?.has(slide) && job.step.set(slide, { ...job.step.get(slide), after: part({ review }, job.body.changes) });
    } else {
      this._steps.forEach((step) => step.delete(slide));
    }
    if (job.path === "delete") {
      this.slides.delete(slide.id);
    }
    slide.pending = slide.pending.filter((other) => other !== job);
    show(slide);
    return true;
  }

  /** Does it again, but asks about what was changed since. */
  _tryAgain(slides, job, before) {
    if (job.path === "set") {
      slides.forEach((slide) =>
        this.setFrom(slide, before.get(slide), job.body.changes, job.body.note));
    } else {
      this._repeat(slides, [job]);
    }
  }

  /** Asks whether to set what somebody else has changed since, unless it is so already. */
  _isOther(slide, changes, note) {
    if (is(slide, changes)) {
      return;
    }
    this._emit("notice", {
      slide,
      text: `It was changed meanwhile: ${wish(part(slide, changes))}. (Not set: ${wish(changes)}.)`,
      path: "set",
      again: () => this.set([slide], changes, note),
    });
  }

  _repeat(slides, jobs) {
    for (const { path, body } of jobs) {
      if (path === "set") {
        this.set(slides, body.changes, body.note);
      } else {
        this._ask(path, slides, body);
      }
    }
  }

  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Slides by their ids, as far as one wants to read them. */
export function names(slides) {
  const ids = slides.map(({ id }) => id);
  return ids.length > 4 ? `${ids.slice(0, 3).join(", ")} and ${ids.length - 3} others` : ids.join(", ");
}

/** Whether the review's slide ID was only read off the label. */
export function isUnconfirmed({ slide_id: slideId, confirmed }) {
  return Boolean(slideId) && !confirmed;
}

function wish({ confirmed, ...fields }) {
  return Object.entries(fields).map(([name, value]) => `${FIELDS[name]} ${value || "none"}${
    name === "slide_id" && value && confirmed === false ? " (not confirmed)" : ""}`).join(", ");
}

/** What is asked for as the server takes it: whether an ID is confirmed is beside the changes. */
function sent({ changes: { confirmed, ...changes } = {}, ...others }) {
  return { ...others, changes, confirmed };
}

/** Gives up what the jobs would have changed. */
function settle(slide, jobs) {
  slide.pending = slide.pending.filter((job) => !jobs.includes(job));
  jobs.forEach((job) => job.step?.delete(slide));
  show(slide);
}

function show(slide) {
  slide.review = Object.assign({}, slide.saved, ...slide.pending.map((job) => job.body.changes));
  slide.words = words(slide);
}

function part({ review }, changes) {
  return Object.fromEntries(Object.keys(changes).map((name) => [name, review[name]]));
}

function is({ review }, wanted) {
  return Object.entries(wanted).every(([name, value]) => (review[name] ?? null) === (value ?? null));
}
