// One slide on the screen: OpenSeadragon, with a scale bar, rulers and a place for messages.

/* global OpenSeadragon */

import { NotShown, checkReachable, slide, tileSource } from "./published.js";
import { Rulers } from "./rulers.js";
import { lengthText, mppAlong, roundLength } from "./scale.js";

const MOST = 8; // screen pixels per pixel of the slide
const BAR = 160; // CSS px that the scale bar may take
const WHOLE = 1e-6; // px, and parts of one: what is less is rounding

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
    this._opened = 0;
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
    const turn = ++this._opened;
    this.slide = null;
    this._failed.clear();
    this._lacking.clear();
    this._say(`Opening ${id}…`);
    this.osd.close();
    this.rulers.clear();
    try {
      const found = await slide(id);
      await this._isOpen(found, turn);
    } catch (error) {
      if (turn === this._opened) {
        this._say(sentence(error));
      }
    }
  }

  close() {
    this._opened++;
    this._room.disconnect();
    this.osd.destroy();
    this.element.remove();
  }

  /** Screen pixels per pixel of the base level, as it will be when the movement ends. */
  get scale() {
    return this._image.viewportToImageZoom(this.osd.viewport.getZoom()) * devicePixelRatio;
  }

  /** The least and the greatest scale. */
  get scales() {
    const { viewport } = this.osd;
    return [viewport.getMinZoom(), viewport.getMaxZoom()].map(
      (zoom) => this._image.viewportToImageZoom(zoom) * devicePixelRatio);
  }

  get view() {
    const { viewport } = this.osd;
    const { x, y } = this._image.viewportToImageCoordinates(viewport.getCenter());
    return {
      x, y, scale: this.scale, rotation: viewport.getRotation(), mirrored: viewport.getFlip(),
    };
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

  /** The view as a canvas of the screen's pixels, with rulers and scale bar. */
  snapshot() {
    const { canvas } = this.osd.drawer;
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(canvas, 0, 0);
    const { x, y } = this.osd.viewport.getContainerSize();
    context.scale(copy.width / x, copy.height / y);
    this.rulers.paint(context);
    if (this.scaleBar) {
      paintBar(context, this.scaleBar, y);
    }
    return copy;
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

  _isOpen(found, turn) {
    return new Promise((resolve, reject) => {
      this.osd.addOnceHandler("open-failed", () =>
        reject(new NotShown(`The slide ${found.id} cannot be drawn by this browser.`)));
      this.osd.addOnceHandler("open", () => {
        if (turn === this._opened) {
          this.slide = found;
          this._say("");
          this._emit("open");
          this._drawn();
        }
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
    const at = this._aligned();
    const { x, y } = this.view;
    if (at && Math.max(Math.abs(at.x - x), Math.abs(at.y - y)) > WHOLE) {
      this.osd.viewport.panTo(this._image.imageToViewportCoordinates(at.x, at.y), true);
    }
  }

  /**
   * The centre (in px of the base level) that is nearest to the view's and has a level's pixels on
   * the screen's; null where no level's are as large as those. `current`: as it is now, on the way.
   */
  _aligned(current = false) {
    const { viewport } = this.osd;
    const { x, y } = this._image.viewportToImageCoordinates(viewport.getCenter(current));
    const scale = this._image.viewportToImageZoom(viewport.getZoom(current)) * devicePixelRatio;
    const rotation = viewport.getRotation(current);
    const pixel = 2 ** Math.round(-Math.log2(scale)); // of the slide, that a screen's pixel covers
    if (pixel < 1 || Math.abs(scale * pixel - 1) > WHOLE || rotation % 90) {
      return null;
    }
    const size = viewport.getContainerSize().times(devicePixelRatio / 2);
    const half = rotation % 180 ? { x: size.y, y: size.x } : size;
    return {
      x: pixel * (Math.round(x / pixel - half.x) + half.x),
      y: pixel * (Math.round(y / pixel - half.y) + half.y),
    };
  }

  /** Whether tiles would show seams: not where they lie on whole pixels of the screen. */
  _hasSeams() {
    const at = this._aligned(true);
    const { x, y } = this._image.viewportToImageCoordinates(this.osd.viewport.getCenter(true));
    return !at || Math.max(Math.abs(at.x - x), Math.abs(at.y - y)) > WHOLE;
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

  async _tileFailed({ tile, tries }) {
    this._failed.add(tile);
    if (tries <= this.osd.tileRetryMax) {
      return;
    }
    this._lacking.add(tile);
    let why = "";
    if (this.slide) {
      await checkReachable(this.slide.id).catch((error) => {
        why = ` ${sentence(error)}`;
      });
    }
    const { size } = this._lacking;
    if (size) {
      const parts = size === 1 ? "One part" : `${size} parts`;
      this._say(`${parts} of the slide could not be loaded.${why}`, () => this._tryAgain());
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

  _say(text, retry) {
    const parts = [text];
    if (retry) {
      const button = document.createElement("button");
      button.textContent = "Try again";
      button.addEventListener("click", retry);
      parts.push(button);
    }
    this._message.replaceChildren(...parts.filter(Boolean));
    this._message.classList.toggle("aside", Boolean(retry));
    this._message.hidden = !text;
  }

  _emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** The most CSS px within the length that are whole pixels of the screen, too. */
function wholeLength(length) {
  const most = Math.floor(length);
  for (let px = most; px > most - 20; px--) {
    if (Math.abs(px * devicePixelRatio - Math.round(px * devicePixelRatio)) < WHOLE) {
      return px;
    }
  }
  return most;
}

function paintBar(context, [width, text], bottom) {
  const [left, y] = [16, bottom - 16];
  context.fillStyle = "rgb(255 255 255 / 80%)";
  context.fillRect(left - 6, y - 24, width + 12, 30);
  context.fillStyle = context.strokeStyle = "black";
  context.lineWidth = 2;
  context.font = "14px sans-serif";
  context.textAlign = "center";
  context.fillText(text, left + width / 2, y - 8);
  context.beginPath();
  context.moveTo(left, y - 5);
  context.lineTo(left, y);
  context.lineTo(left + width, y);
  context.lineTo(left + width, y - 5);
  context.stroke();
}

function sentence(error) {
  if (error instanceof NotShown) {
    return error.message;
  }
  console.warn(error);
  return "Something went wrong in this page; reload it.";
}
