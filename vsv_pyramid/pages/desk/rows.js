// The rows of a table, of which only what is seen is in the page, and the one that is current.

const HEIGHT = 48; // CSS px of a row, as desk.css has it
const BEYOND = 4; // rows that are made before they are seen

export class Rows {
  /**
   * `scrolled` is the element that scrolls the table; `made(item)` makes an item's row, and
   * `drawn(row, item, current)` makes it show what the item is by now.
   */
  constructor(scrolled, made, drawn) {
    this._scrolled = scrolled;
    this._space = scrolled.firstElementChild;
    this._table = scrolled.querySelector("table");
    this._body = this._table.tBodies[0];
    this._made = made;
    this._drawn = drawn;
    this._shown = new Map();
    this.items = [];
    this.current = null;
    scrolled.addEventListener("scroll", () => this._soon(), { passive: true });
    new ResizeObserver(() => this._soon()).observe(scrolled);
  }

  /** Lists the items. The current one stays where it is on the screen; if it is gone, the next does. */
  show(items) {
    const before = this.items;
    const at = before.indexOf(this.current);
    const top = at * HEIGHT - this._scrolled.scrollTop;
    const left = new Set(items);
    if (!left.has(this.current)) {
      this.current = before.slice(Math.max(at, 0)).find((item) => left.has(item))
        ?? before.slice(0, Math.max(at, 0)).findLast((item) => left.has(item)) ?? items[0] ?? null;
    }
    this.items = items;
    this._space.style.height = `${this._head + items.length * HEIGHT}px`;
    if (at >= 0 && top > -HEIGHT && top < this._scrolled.clientHeight) {
      this._scrolled.scrollTop = this.index * HEIGHT - top;
    }
    this.draw();
  }

  get index() {
    return this.items.indexOf(this.current);
  }

  /** How many rows are seen at once. */
  get page() {
    return Math.floor((this._scrolled.clientHeight - this._head) / HEIGHT);
  }

  /** Makes the item at the index, or the first or the last, current, and brings it into view. */
  go(index) {
    const at = Math.max(0, Math.min(index, this.items.length - 1));
    this.current = this.items[at] ?? null;
    const most = at * HEIGHT;
    const least = most + HEIGHT + this._head - this._scrolled.clientHeight;
    this._scrolled.scrollTop = Math.min(most, Math.max(this._scrolled.scrollTop, least));
    this.draw();
  }

  /** The item's row, where it is in the page. */
  row(item) {
    return this._shown.get(item);
  }

  focus() {
    this._table.focus({ preventScroll: true });
  }

  draw() {
    const { scrollTop, clientHeight } = this._scrolled;
    const first = Math.max(0, Math.min(
      Math.floor(scrollTop / HEIGHT) - BEYOND, this.items.length - 1));
    const wanted = new Set(
      this.items.slice(first, first + Math.ceil(clientHeight / HEIGHT) + 2 * BEYOND));
    for (const [item, row] of this._shown) {
      if (!wanted.has(item)) {
        if (row.contains(document.activeElement)) {
          this.focus();
        }
        row.remove();
        this._shown.delete(item);
      }
    }
    this._table.style.marginTop = `${first * HEIGHT}px`;
    this._table.ariaRowCount = this.items.length + 1;
    let index = first;
    for (const item of wanted) {
      const row = this._shown.get(item) ?? this._made(item);
      this._shown.set(item, row);
      row.ariaRowIndex = index + 2; // after that of the headings
      this._drawn(row, item, item === this.current);
      const place = this._body.children[index - first];
      if (place !== row) {
        this._body.insertBefore(row, place ?? null);
      }
      index++;
    }
    const current = this._shown.get(this.current);
    this._table.toggleAttribute("aria-activedescendant", Boolean(current));
    if (current) {
      this._table.setAttribute("aria-activedescendant", current.id);
    }
  }

  get _head() {
    return this._table.tHead.offsetHeight;
  }

  _soon() {
    this._asked ??= requestAnimationFrame(() => {
      this._asked = undefined;
      this.draw();
    });
  }
}
