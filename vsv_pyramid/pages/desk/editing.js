// Inputs for IDs: what was typed is saved on leaving one, unless it is given up; Enter confirms the rest.

const INPUTS = "input[data-field]";

export class Editing {
  /**
   * Of the inputs in `container`: `save(input, before)` takes a new value, `confirm(input)` one that is
   * left by Enter as it was, the element `leave` the focus, and `beside(input, back)` gives the input that
   * Tab leads to, where the browser is not to say.
   */
  constructor(container, { save, confirm, leave, begun = () => {}, ended = () => {}, beside }) {
    this.input = null;
    container.addEventListener("focusin", ({ target }) => {
      if (target.matches(INPUTS) && target !== this.input) {
        this.input = target;
        this._before = target.value;
        this._entered = false;
        target.select();
        begun(target);
      }
    });
    container.addEventListener("focusout", ({ target, relatedTarget }) => {
      if (target !== this.input || target === document.activeElement) {
        return; // it is the window that was left
      }
      this.input = relatedTarget?.matches(INPUTS) ? target : null;
      target.value = target.value.trim();
      if (target.value !== this._before) {
        save(target, this._before);
      } else if (this._entered) {
        confirm(target);
      }
      if (!this.input) {
        ended();
      }
    });
    container.addEventListener("keydown", (event) => {
      const { key, target, shiftKey } = event;
      if (target !== this.input) {
        return;
      }
      this._entered = key === "Enter";
      if (key === "Escape") {
        target.value = this._before;
      }
      const next = key === "Tab" && beside?.(target, shiftKey);
      if (next || key === "Enter" || key === "Escape") {
        event.preventDefault();
        (next || leave).focus();
      }
    });
  }
}
