// Which rows are selected: never one that is not listed, so that nothing is done unseen.

export class Selection {
  /** `changed` is called after each change. */
  constructor(rows, changed) {
    this._rows = rows;
    this._changed = changed;
    this._chosen = new Set();
    this._anchor = null; // where a range begins
  }

  get size() {
    return this._chosen.size;
  }

  has(slide) {
    return this._chosen.has(slide);
  }

  get isAll() {
    return this.size > 0 && this.size === this._rows.items.length;
  }

  /** What an action is for: the selected slides in order, or else the current one. */
  get targets() {
    return this._those.filter((slide) => !slide.failed);
  }

  /** The same, of slides that could not be converted. */
  get failed() {
    return this._those.filter((slide) => slide.failed);
  }

  get _those() {
    const { items, current } = this._rows;
    return this.size ? items.filter((slide) => this.has(slide)) : selectable([current]);
  }

  /** Leaves out what is listed no more. */
  prune(items) {
    const listed = new Set(items);
    this._chosen = new Set([...this._chosen].filter((slide) => listed.has(slide)));
  }

  choose(slides) {
    this._chosen = new Set(selectable(slides));
    this._changed();
  }

  chooseAll() {
    this.choose(this.isAll ? [] : this._rows.items);
  }

  /** Selects the slide, or no longer; with `range`, all from the one before, too. */
  toggle(slide, range = false) {
    const { items } = this._rows;
    const wanted = !this.has(slide);
    const ends = [slide, (range && this._anchor) || slide].map((end) => items.indexOf(end));
    const others = items.slice(Math.max(0, Math.min(...ends)), Math.max(...ends) + 1);
    this._anchor = slide;
    this.choose(wanted ? [...this._chosen, ...others]
      : [...this._chosen].filter((each) => !others.includes(each)));
  }
}

function selectable(slides) {
  return slides.filter((slide) => slide && !slide.awaiting);
}
