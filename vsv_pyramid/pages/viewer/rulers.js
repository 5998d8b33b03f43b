// Rulers on a slide: drawn by dragging, or from the pane's centre with a key.

import { distance, lengthText } from "./scale.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 3; // CSS px: what is shorter was a click

export class Rulers {
  /** `list` holds the rulers as [from, to], points in px of the base level. */
  constructor(pane) {
    this.list = [];
    this._pane = pane;
    this._from = null;
    this._layer = svg("svg", { class: "rulers", "aria-hidden": "true" });
    pane.osd.canvas.append(this._layer); // so that the wheel still zooms
    this._layer.addEventListener("pointerdown", (event) => this._press(event));
    this._layer.addEventListener("pointermove", (event) => this._drag(event));
    this._layer.addEventListener("pointerup", (event) => this._release(event));
    this._layer.addEventListener("pointercancel", () => this._forget());
  }

  get measuring() {
    return this._layer.classList.contains("measuring");
  }

  set measuring(wanted) {
    this._layer.classList.toggle("measuring", wanted);
    this._forget();
  }

  /** Each ruler's length as text. */
  get lengths() {
    return this.list.map((ruler) => this._length(ruler));
  }

  /** Starts a ruler at the pane's centre, or ends it there. */
  mark() {
    const { center } = this._pane;
    if (this._from) {
      this._add([this._from, center]);
    } else {
      this._from = this._to = center;
      this.draw();
    }
  }

  remove(index) {
    this.list.splice(index, 1);
    this._changed();
  }

  clear() {
    this.list = [];
    this._from = null;
    this._changed();
  }

  draw() {
    if (!this._pane.slide) {
      this._layer.replaceChildren();
      return;
    }
    const { x, y } = this._pane.osd.viewport.getContainerSize();
    const drawn = this._shown.flatMap((ruler) => {
      const [from, to] = ruler.map((point) => this._pane.onScreen(point));
      const line = { x1: from.x, y1: from.y, x2: to.x, y2: to.y };
      const text = svg("text", { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - 8 });
      text.textContent = this._length(ruler);
      return [svg("line", { ...line, class: "edge" }), svg("line", line), text];
    });
    const cross = `M${x / 2 - 10} ${y / 2}h20M${x / 2} ${y / 2 - 10}v20`;
    this._layer.replaceChildren(...drawn, svg("path", { class: "cross", d: cross }));
  }

  /** Draws the finished ones onto a canvas whose unit is the pane's CSS px. */
  paint(context) {
    context.font = "bold 14px sans-serif";
    context.textAlign = "center";
    for (const ruler of this.list) {
      const [from, to] = ruler.map((point) => this._pane.onScreen(point));
      for (const [width, colour] of [[5, "white"], [2, "black"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(to.x, to.y);
        context.stroke();
      }
      const at = [this._length(ruler), (from.x + to.x) / 2, (from.y + to.y) / 2 - 8];
      context.strokeStyle = "white";
      context.lineWidth = 4;
      context.strokeText(...at);
      context.fillStyle = "black";
      context.fillText(...at);
    }
  }

  get _shown() {
    if (!this._from) {
      return this.list;
    }
    return [...this.list, [this._from, this._dragged ? this._to : this._pane.center]];
  }

  _length([from, to]) {
    return lengthText(...distance(from, to, this._pane.slide?.mpp));
  }

  _press(event) {
    if (event.button !== 0 || !event.isPrimary) {
      return;
    }
    event.stopPropagation(); // or OpenSeadragon would move the slide
    this._layer.setPointerCapture(event.pointerId);
    this._dragged = event.pointerId;
    this._start = place(event);
    this._from = this._to = this._pane.onSlide(this._start);
  }

  _drag(event) {
    if (event.pointerId === this._dragged) {
      event.stopPropagation();
      this._to = this._pane.onSlide(place(event));
      this.draw();
    }
  }

  _release(event) {
    if (event.pointerId !== this._dragged) {
      return;
    }
    event.stopPropagation();
    const end = place(event);
    const ruler = [this._from, this._pane.onSlide(end)];
    this._dragged = undefined;
    if (Math.hypot(end.x - this._start.x, end.y - this._start.y) < LEAST) {
      this._forget();
    } else {
      this._add(ruler);
    }
  }

  _add(ruler) {
    this._from = null;
    this.list.push(ruler);
    this._changed();
  }

  _forget() {
    this._from = null;
    this._dragged = undefined;
    this.draw();
  }

  _changed() {
    this.draw();
    this._pane.dispatchEvent(new Event("measure"));
  }
}

function place({ clientX, clientY, currentTarget }) {
  const { left, top } = currentTarget.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  return element;
}
