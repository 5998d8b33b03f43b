// Panes that move together, each as it lay to the others.

export class Together {
  constructor() {
    this.on = true;
    this._offsets = new Map(); // each pane's view as seen from the first one's
    this._panes = [];
  }

  /** Remembers how the panes lie to each other now. */
  relate(panes) {
    this._panes = panes.filter((pane) => pane.slide);
    const views = this._panes.map((pane) => this._measured(pane));
    this._offsets = new Map(
      this._panes.map((pane, index) => [pane, difference(views[index], views[0])]));
  }

  /** Moves the others to where they are to be beside this one. */
  follow(leader) {
    if (this.on && this._offsets.has(leader)) {
      const first = difference(this._measured(leader), this._offsets.get(leader));
      for (const pane of this._panes) {
        if (pane !== leader) {
          pane.show(this._inPixels(pane, sum(first, this._offsets.get(pane))), true);
        }
      }
    }
  }

  // Places are in microns where all slides have a scale, else in px.

  _unit(pane) {
    return this._panes.every((each) => each.slide.mpp) ? pane.slide.mpp : { x: 1, y: 1 };
  }

  _measured(pane) {
    const { view } = pane;
    const unit = this._unit(pane);
    return { ...view, x: view.x * unit.x, y: view.y * unit.y };
  }

  _inPixels(pane, view) {
    const unit = this._unit(pane);
    return { ...view, x: view.x / unit.x, y: view.y / unit.y };
  }
}

function difference(view, from) {
  return {
    x: view.x - from.x,
    y: view.y - from.y,
    scale: view.scale / from.scale,
    rotation: view.rotation - from.rotation,
    mirrored: view.mirrored !== from.mirrored,
  };
}

function sum(view, offset) {
  return {
    x: view.x + offset.x,
    y: view.y + offset.y,
    scale: view.scale * offset.scale,
    rotation: view.rotation + offset.rotation,
    mirrored: view.mirrored !== offset.mirrored,
  };
}
