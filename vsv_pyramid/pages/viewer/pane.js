// One slide on the screen: OpenSeadragon, with a scale bar, rulers and a place for messages.

/* global OpenSeadragon */

import { isWhole, misaligned, wholeLength } from "./pixels.js";
import { NotShown, checkReachable, current, slide, tileSource } from "./published.js";
import { Rulers } from "./rulers.js";
import { lengthText, mppAlong, roundLength } from "./scale.js";

const MOST = 8; // screen pixels per pixel of the slide
const BAR = 160; // CSS px that the scale bar may take

// OpenSeadragon adds a style to the page unless it is there already; the page's policy allows none.
const taken = document.createElementNS("urn:none", "style");
taken.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(taken);

export class Pane extends EventTarget {
  /** Events: "open", "move" while the view changes, "rest" after it, "measure" with the rulers. */
  constructor(element) {
    super();
    this.slide = null;
    this.element = element;
    this._message = element.querySelector(".message");
    this._bar = element.querySelector(".scale-bar");
    this._stage = element.querySelector(".stage");
    this._failed = new Set(); // tiles, at least once
    this._lacking = new Set();
    this._closed = false;
    this._isFormer = false;
    this._room = new ResizeObserver(() => this._place());
    this._room.observe(element);
    this._place();
    this.osd = OpenSeadragon({
      element: this._stage,
      crossOriginPolicy: "Anonymous",
      tileRetryMax: 3,
      tileRetryDelay: 500,
      imageLoaderLimit: 16,
      showNavigationControl: false,
      showNavigator: true,
      navigatorPosition: "BOTTOM_RIGHT",
      navigatorSizeRatio: 0.16,
      navigatorDrawer: "canvas", // WebGL takes longer to begin than a map to draw
      preserveImageSizeOnResize: true,
      minPixelRatio: 0.501, // at exactly half the size, the level made for it, and a quarter of the tiles
      visibilityRatio: 0.2,
      minZoomImageRatio: 0.1,
      maxZoomPixelRatio: MOST / devicePixelRatio,
      animationTime: 0.6,
      springStiffness: 9,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    });
    this.rulers = new Rulers(this);
    this.osd.addHandler("canvas-key", (event) => {
      event.preventDefaultAction = true; // the page's own keys, wherever the focus is
    });
    this.osd.addHandler("viewport-change", () => this._emit("move"));
    this.osd.addHandler("update-viewport", () => this._drawn());
    this.osd.addHandler("animation-finish", () => this._rest());
    this.osd.addHandler("flip", () => this._rest());
    this.osd.addHandler("after-resize", () => this._rest());
    this.osd.addHandler("tile-load-failed", (event) => this._tileFailed(event));
    this.osd.addHandler("tile-loaded", (event) => this._tileLoaded(event));
    if (this.osd.drawer.getType() === "canvas") {
      // It draws every tile a pixel larger, against seams, and so hides a pixel of its neighbours.
      this.osd.drawer.minimumOverlapRequired = () => this._hasSeams();
    }
    this.osd.canvas.setAttribute("aria-label", "Slide");
    this.osd.canvas.setAttribute("role", "application");
  }

  /** Shows the slide, and resolves once it is open, or a sentence is shown in its place. */
  async open(id) {
    this._say(`Opening ${id}…`);
    try {
      const found = await slide(id);
      if (!this._closed) {
        await this._isOpen(found);
      }
    } catch (error) {
      this._say(sentence(error));
    }
  }

  /** Looks whether another scan was published under the id: what is shown then stays, greyed, since
   * the tiles that it would still ask for are those of the other one. The same tiles in another
   * layout are shown from there. */
  async check() {
    const { slide: shown } = this;
    const now = shown?.version && !this._isFormer ? await current(shown.id) : {};
    if (!now.version || this._closed || shown !== this.slide) {
      return;
    }
    if (now.version === shown.version) {
      if (now.packed !== shown.packed) {
        await this._renew();
      }
      return;
    }
    this._mark(true);
    this._image.source.tileExists = () => false;
    this._say("There is a new version of this slide. You see the old one.", "Show the new one", () => this._renew());
  }

  close() {
    this._closed = true;
    this._room.disconnect();
    this.osd.destroy();
    this.element.remove();
  }

  /** The least and the greatest scale. */
  get scales() {
    const { viewport } = this.osd;
    return [viewport.getMinZoom(), viewport.getMaxZoom()].map(
      (zoom) => this._image.viewportToImageZoom(zoom) * devicePixelRatio);
  }

  /** The view as it will be when the movement ends; see address.js. */
  get view() {
    return this._view(false);
  }

  /** Moves to the view, or to what it names of one. */
  show({ x, y, scale, rotation, mirrored }, immediately = false) {
    const { viewport } = this.osd;
    if (rotation !== undefined) {
      viewport.setRotation(rotation, immediately);
    }
    if (mirrored !== undefined) {
      viewport.setFlip(mirrored);
    }
    if (scale !== undefined) {
      const zoom = this._image.imageToViewportZoom(scale / devicePixelRatio);
      viewport.zoomTo(zoom, undefined, immediately);
    }
    if (x !== undefined) {
      viewport.panTo(this._image.imageToViewportCoordinates(x, y), immediately);
    }
    viewport.applyConstraints(immediately);
  }

  fit(immediately = false) {
    this.osd.viewport.goHome(immediately);
  }

  /** Moves by parts of the pane's width and height. */
  pan(right, down) {
    const { viewport } = this.osd;
    const { x, y } = viewport.getContainerSize();
    const by = new OpenSeadragon.Point(right * x * (viewport.getFlip() ? -1 : 1), down * y);
    viewport.panBy(viewport.deltaPointsFromPixels(by));
    viewport.applyConstraints();
  }

  /** Where a point of the slide is on the pane, in CSS px. */
  onScreen(point) {
    const { viewport } = this.osd;
    const at = this._image.imageToViewerElementCoordinates(
      new OpenSeadragon.Point(point.x, point.y));
    return { x: viewport.getFlip() ? viewport.getContainerSize().x - at.x : at.x, y: at.y };
  }

  /** The point of the slide that is at a place of the pane. */
  onSlide({ x, y }) {
    const { viewport } = this.osd;
    const at = new OpenSeadragon.Point(
      viewport.getFlip() ? viewport.getContainerSize().x - x : x, y);
    return this._image.viewerElementToImageCoordinates(at);
  }

  get center() {
    const { x, y } = this.osd.viewport.getContainerSize();
    return this.onSlide({ x: x / 2, y: y / 2 });
  }

  /** The length that the scale bar stands for, as [CSS px, text], null without an mpp. */
  get scaleBar() {
    if (!this.slide?.mpp) {
      return null;
    }
    const { viewport } = this.osd;
    const scale = this._image.viewportToImageZoom(viewport.getZoom(true));
    const mpp = mppAlong(this.slide.mpp, viewport.getRotation(true)) / scale;
    const length = roundLength(BAR * mpp);
    return [length / mpp, lengthText(length)];
  }

  _view(current) {
    const { viewport } = this.osd;
    const { x, y } = this._image.viewportToImageCoordinates(viewport.getCenter(current));
    return {
      x,
      y,
      scale: this._image.viewportToImageZoom(viewport.getZoom(current)) * devicePixelRatio,
      rotation: viewport.getRotation(current),
      mirrored: viewport.getFlip(),
    };
  }

  get _image() {
    return this.osd.world.getItemAt(0);
  }

  /** Puts the stage on whole pixels of the screen, as many as the pane has room for. */
  _place() {
    const box = this.element.getBoundingClientRect();
    const [left, top] = [box.left, box.top].map(
      (edge) => Math.ceil(edge * devicePixelRatio) / devicePixelRatio);
    Object.assign(this._stage.style, {
      left: `${left - box.left}px`,
      top: `${top - box.top}px`,
      width: `${wholeLength(box.right - left)}px`,
      height: `${wholeLength(box.bottom - top)}px`,
    });
  }

  _isOpen(found) {
    return new Promise((resolve, reject) => {
      this.osd.addOnceHandler("open-failed", () =>
        reject(new NotShown(`The slide ${found.id} cannot be drawn by this browser.`)));
      this.osd.addOnceHandler("open", () => {
        this.slide = found;
        this._say("");
        this._emit("open");
        this._drawn();
        resolve();
      });
      this.osd.open(tileSource(found));
    });
  }

  _rest() {
    if (this.slide) {
      this.align();
      this._emit("rest");
    }
  }

  /** Puts a level's pixels onto the screen's, each to be drawn as it is, not mixed with neighbours. */
  align() {
    const at = misaligned(this.view, this.osd.viewport.getContainerSize());
    if (at) {
      this.osd.viewport.panTo(this._image.imageToViewportCoordinates(at.x, at.y), true);
    }
  }

  /** Whether tiles would show seams: not where they lie on whole pixels of the screen. */
  _hasSeams() {
    const { viewport } = this.osd;
    const view = this._view(true);
    return !isWhole(view) || misaligned(view, viewport.getContainerSize()) !== null;
  }

  _drawn() {
    if (!this.slide) {
      return;
    }
    const bar = this.scaleBar;
    this._bar.hidden = !bar;
    if (bar) {
      this._bar.style.width = `${bar[0]}px`;
      this._bar.textContent = bar[1];
    }
    this.rulers.draw();
  }

  /** Shows the new scan in the view of the former one. */
  async _renew() {
    const { view, slide: { id } } = this;
    this._mark(false);
    this._failed.clear();
    this._lacking.clear();
    this.rulers.clear();
    this.slide = null;
    await this.open(id);
    if (this.slide) {
      this.show(view, true);
      this.align();
    }
  }

  _mark(isFormer) {
    this._isFormer = isFormer;
    this.element.classList.toggle("former", isFormer);
  }

  async _tileFailed({ tile, tries, tiledImage }) {
    this._failed.add(tile);
    if (tries <= this.osd.tileRetryMax) {
      return;
    }
    await this.check();
    if (this._isFormer || !this.slide || tiledImage !== this._image) {
      return;
    }
    this._lacking.add(tile);
    let why = "";
    if (this.slide) {
      await checkReachable(this.slide).catch((error) => {
        why = ` ${sentence(error)}`;
      });
    }
    const { size } = this._lacking;
    if (size) {
      const parts = size === 1 ? "One part" : `${size} parts`;
      this._say(`${parts} of the slide could not be loaded.${why}`, "Try again", () => this._tryAgain());
    }
  }

  /** Draws what came at a later try, which OpenSeadragon does only when something else moves. */
  _tileLoaded({ tile, tiledImage }) {
    if (this._failed.delete(tile)) {
      tiledImage.setClip(null);
    }
  }

  _tryAgain() {
    for (const tile of this._lacking) {
      tile.exists = true; // OpenSeadragon asks for none that it found missing
    }
    this._lacking.clear();
    this._say("");
    this.osd.world.resetItems();
  }

  _say(text, label, action) {
    const parts = [text];
    if (action) {
      const button = document.createElement("button");
      button.textContent = label;
      button.addEventListener("click", action);
      parts.push(button);
    }
    this._message.replaceChildren(...parts.filter(Boolean));
    this._message.classList.toggle("aside", Boolean(action));
    this._message.hidden = !text;
  }

  _emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

function sentence(error) {
  if (error instanceof NotShown) {
    return error.message;
  }
  console.warn(error);
  return "Something went wrong in this page; reload it.";
}
