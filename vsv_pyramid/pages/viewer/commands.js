// What can be done, by a button or a key: one table for both, and for the list of keys.

const WITHOUT_SLIDE = new Set(["help", "panel", "full", "previous", "next", "side"]);
const NAMES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓",
  PageUp: "Page Up", PageDown: "Page Down", Escape: "Esc", " ": "Space",
};

export class Commands {
  /** `table`: {name: {key, label, run}}, with a list of keys where there are several. */
  constructor(table) {
    this._table = table;
  }

  /** Terms and descriptions of a list of all keys. */
  described() {
    return Object.values(this._table).flatMap(({ key, label }) => {
      const [term, description] = ["dt", "dd"].map((name) => document.createElement(name));
      const keyElement = document.createElement("kbd");
      keyElement.textContent = keysText(key);
      term.append(keyElement);
      description.textContent = label;
      return [term, description];
    });
  }

  /** Runs what is clicked and typed. `ready` says whether there is a slide; `digit` takes 1 to 9. */
  listen({ ready = () => true, digit = () => {} } = {}) {
    const run = (name) => {
      if (ready() || WITHOUT_SLIDE.has(name)) {
        this._table[name].run();
      }
    };
    for (const button of document.querySelectorAll("[data-command]")) {
      const { key, label } = this._table[button.dataset.command];
      button.title = `${label} (${keysText(key)})`;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => run(button.dataset.command));
    }
    document.addEventListener("keydown", (event) => {
      const { target } = event;
      const key = event.key === "=" ? "+" : event.key; // the same key, without Shift
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog, input")) {
        return;
      }
      if (/^[1-9]$/.test(key)) {
        if (ready()) {
          digit(Number(key));
        }
        return;
      }
      const name = Object.keys(this._table).find((each) => [this._table[each].key].flat().includes(key));
      const isTargets = /^(Enter| )$/.test(key) && target.closest("button, a")
        || /^Arrow/.test(key) && target.matches("aside"); // which scrolls
      if (name && !isTargets) {
        event.preventDefault();
        run(name);
      }
    });
  }
}

function keysText(keys) {
  return [keys].flat().map(keyText).join(" or ");
}

function keyText(key) {
  return /^[A-Z]$/.test(key) ? `Shift ${key.toLowerCase()}` : NAMES[key] ?? key;
}
