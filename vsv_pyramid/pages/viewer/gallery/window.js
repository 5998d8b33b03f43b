// A grid of which only what is seen is in the page, so that its length costs nothing.

const WIDTH = 200; // CSS px, at least
const HEIGHT = 248;
const GAP = 12;
const BEYOND = 2; // rows that are made before they are seen

export class Window {
  /** `scrolled` is the element that scrolls, `list` the one in it; `made` makes an item's element. */
  constructor(scrolled, list, made) {
    this._scrolled = scrolled;
    this._list = list;
    this._made = made;
    this._items = [];
    this._shown = new Map();
    scrolled.addEventListener("scroll", () => this._soon(), { passive: true });
    new ResizeObserver(() => this._soon()).observe(scrolled);
  }

  show(items) {
    this._items = items;
    this._shown.clear();
    this._list.replaceChildren();
    this._scrolled.scrollTop = 0;
    this._draw();
  }

  _soon() {
    this._asked ??= requestAnimationFrame(() => {
      this._asked = undefined;
      this._draw();
    });
  }

  _draw() {
    const width = this._scrolled.clientWidth - GAP;
    const columns = Math.max(1, Math.floor(width / (WIDTH + GAP)));
    const step = { x: width / columns, y: HEIGHT + GAP };
    this._list.style.height = `${Math.ceil(this._items.length / columns) * step.y + GAP}px`;
    const top = Math.floor(this._scrolled.scrollTop / step.y) - BEYOND;
    const rows = Math.ceil(this._scrolled.clientHeight / step.y) + 2 * BEYOND;
    const first = Math.max(0, top * columns);
    const wanted = new Set(this._items.slice(first, (top + rows) * columns));
    for (const [item, element] of this._shown) {
      if (!wanted.has(item)) {
        element.remove();
        this._shown.delete(item);
      }
    }
    let index = first;
    let before = null;
    for (const item of wanted) {
      const element = this._shown.get(item) ?? this._made(item);
      if (!this._shown.has(item)) {
        this._shown.set(item, element);
        element.ariaSetSize = this._items.length;
      }
      element.ariaPosInSet = index + 1;
      const [column, row] = [index % columns, Math.floor(index / columns)];
      Object.assign(element.style, {
        left: `${GAP + column * step.x}px`,
        top: `${GAP + row * step.y}px`,
        width: `${step.x - GAP}px`,
        height: `${HEIGHT}px`,
      });
      const place = before ? before.nextSibling : this._list.firstChild;
      if (place !== element) {
        this._list.insertBefore(element, place); // in order, for who goes through them by keyboard
      }
      before = element;
      index++;
    }
  }
}
