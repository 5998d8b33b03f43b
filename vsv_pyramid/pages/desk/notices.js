// What did not go as it was meant to, a line each, until somebody has seen it.

const AGAIN = {
  set: "Set it nonetheless",
  delete: "Delete it nonetheless",
  send: "Send it nonetheless",
  again: "Try again",
};

export class Notices {
  /** `home` is focused once none is left. */
  constructor(element, home) {
    this._element = element;
    this._list = element.querySelector("ul");
    this._all = element.querySelector("button");
    this._home = home;
    this._all.addEventListener("click", () => this._remove(...this._list.children));
  }

  /** Adds one unless it is there, with what to do about it where it is not the end of it. */
  add({ slide, text, path, again }) {
    const item = document.createElement("li");
    const name = document.createElement("strong");
    name.textContent = slide && !text.includes(slide.id) ? `${slide.id}: ` : "";
    item.dataset.said = name.textContent + text;
    if (!again && [...this._list.children].some(({ dataset }) => dataset.said === item.dataset.said)) {
      return;
    }
    const choices = again ? [[AGAIN[path], again], ["Leave it"]] : [["Dismiss"]];
    item.append(name, text, ...choices.map(([label, run]) => {
      const button = document.createElement("button");
      button.textContent = label;
      button.addEventListener("click", () => {
        this._remove(item);
        run?.();
      });
      return button;
    }));
    this._list.append(item);
    this._show();
  }

  get length() {
    return this._list.children.length;
  }

  focus() {
    this._list.querySelector("button")?.focus();
  }

  _remove(...items) {
    const next = items.at(-1).nextSibling ?? items[0].previousSibling;
    items.forEach((item) => item.remove());
    this._show();
    (next?.querySelector("button") ?? this._home()).focus();
  }

  _show() {
    this._element.hidden = !this.length;
    this._all.hidden = this.length < 2;
  }
}
