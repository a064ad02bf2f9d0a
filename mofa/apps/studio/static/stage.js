/** The canvas: photo, regions and drawing over each other; pointer, touch, wheel and keyboard become gestures. */

import { h, show } from "./dom.js";
import { faceTool } from "./face_tool.js";
import { Faces } from "./faces.js";
import { cameraTool, handTool } from "./frame_tools.js";
import { paintControls, paintMoving, paintRegions } from "./painter.js";
import { brushTool, eraseTool, pickTool, regionCanvas } from "./region_tools.js";
import { anchorTool, drawTool, finishDraft, insertPoint, selectTool } from "./shape_tools.js";
import { photoAddress } from "./server.js";
import { t } from "./texts.js";
import { Viewport } from "./viewport.js";

const TOOLS = {
  select: selectTool, draw: drawTool, anchor: anchorTool, brush: brushTool, erase: eraseTool, pick: pickTool,
  camera: cameraTool, hand: handTool, face: faceTool,
};
const REGION_SIDE = 900;
const REST_SECONDS = 0.5;
const KEY_STEP = 12;

export class Stage {
  /**
   * @param {import("./store.js").Store} store
   * @param {AbortSignal} signal ends it
   */
  constructor(store, signal) {
    this.store = store;
    this.viewport = new Viewport();
    this.cursor = null;
    this.keyboard = false;
    this.pointers = new Map();
    this.gesture = null;
    this.signal = signal;
    this.redraw = this.redraw.bind(this);
    this.faces = new Faces(store, () => this.facesChanged());
    this.photo = h("img.photo", { alt: "", draggable: false });
    this.regions = h("canvas.regions");
    this.overlay = h("canvas.overlay", { id: "canvas", tabIndex: 0, role: "application", "aria-label": t("stage.label") });
    this.controls = h("canvas.controls");
    this.element = h("div.canvas", {}, this.photo, this.regions, this.controls, this.overlay);
    this.listen();
    store.subscribe((what) => this.changed(what));
    this.changed("document");
    requestAnimationFrame((now) => this.loop(now, now));
  }

  // --- Following the store ---

  changed(what) {
    const { document, view } = this.store;
    if (document.picture !== this.viewport.picture) this.showPicture(document.picture);
    if (what === "document" || view.painting !== this.shown?.painting || view.selected !== this.shown?.selected) {
      this.showRegions();
    }
    if (view.tool !== this.shown?.tool && view.drafting) finishDraft(this.store);
    this.viewport.frame(view.tool === "camera");
    this.shown = { ...this.store.view };
    this.overlay.style.cursor = TOOLS[view.tool].cursor;
    this.stale = true;
  }

  showPicture(picture) {
    this.viewport.fit(picture);
    this.photo.hidden = !picture;
    if (!picture) return;
    this.photo.src = photoAddress(picture.name);
    this.place();
  }

  showRegions() {
    const { document, view, selected } = this.store;
    if (!document.picture) return;
    const { width, height } = document.picture;
    const scale = Math.min(1, REGION_SIDE / Math.max(width, height));
    Object.assign(this.regions, { width: Math.round(width * scale), height: Math.round(height * scale) });
    const shown = view.painting
      ? [{ region: null, canvas: view.painting, colour: selected?.colour ?? "#fff" }]
      : [{ region: document.region, colour: "#fff" }, ...document.controls];
    const layers = shown.flatMap(({ region, canvas, colour }) => {
      const painted = canvas ?? (region && regionCanvas(region, document.picture, () => this.showRegions()));
      return painted ? [{ canvas: painted, colour }] : [];
    });
    show(this.regions, layers.length > 0);
    paintRegions(this.regions.getContext("2d"), layers);
  }

  /** Faces were found, or it is known how they move. */
  facesChanged() {
    this.drawn = null;
    this.store.look({});
  }

  /** Draws again with the next frame. */
  redraw() {
    this.stale = true;
  }

  loop(now, before) {
    const { store, viewport } = this;
    const { document, view } = store;
    const ghosts = view.playing && !view.drafting && !this.gesture && document.controls.length > 0;
    if (ghosts) this.advance((now - before) / 1000);
    if (this.stale || ghosts) {
      this.stale = false;
      if (viewport.picture) this.draw(ghosts || view.frame > 0);
    }
    if (!this.signal.aborted) requestAnimationFrame((later) => this.loop(later, now));
  }

  draw(ghosts) {
    const { store, viewport, cursor, keyboard } = this;
    const { controls, region } = store.document;
    const { selected, point, tool } = store.view;
    const looks = [controls, region, selected, point, tool, viewport.version];
    if (looks.some((look, k) => look !== this.drawn?.[k])) {
      this.drawn = looks;
      this.place();
      paintControls(penOf(this.controls), viewport, store, this.faces);
    }
    paintMoving(penOf(this.overlay), viewport, store, { ghosts, cursor, keyboard, faces: this.faces });
  }

  /** Moves the ghosts on, at the clip's speed; they rest a moment at the end. */
  advance(seconds) {
    const { document, view } = this.store;
    const end = document.frames - 1 + REST_SECONDS * document.fps;
    const clock = (this.clock ?? view.frame) + seconds * document.fps;
    this.clock = clock > end ? 0 : clock;
    view.frame = Math.min(this.clock, document.frames - 1);
    this.onframe?.(view.frame);
  }

  /** Shows the ghosts of one frame. */
  seek(frame) {
    this.clock = frame;
    this.store.look({ frame, playing: false });
    this.onframe?.(frame);
  }

  place() {
    const { viewport } = this;
    const { width, height } = viewport.picture;
    for (const layer of [this.photo, this.regions]) {
      layer.style.width = `${width * viewport.scale}px`;
      layer.style.height = `${height * viewport.scale}px`;
      layer.style.transform = `translate(${viewport.left}px, ${viewport.top}px)`;
    }
  }

  // --- Pointer, touch, pen ---

  listen() {
    const { overlay } = this;
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      for (const layer of [this.controls, overlay]) {
        layer.width = Math.round(width * devicePixelRatio);
        layer.height = Math.round(height * devicePixelRatio);
      }
      this.viewport.resize(width, height);
      this.redraw();
    }).observe(this.element);
    overlay.addEventListener("pointerdown", (event) => this.down(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", (event) => this.up(event));
    overlay.addEventListener("pointercancel", (event) => this.up(event, true));
    overlay.addEventListener("pointerleave", () => {
      if (!this.keyboard) this.cursor = null;
      this.redraw();
    });
    overlay.addEventListener("dblclick", (event) => this.doubleClick(event));
    overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    overlay.addEventListener("contextmenu", (event) => event.preventDefault());
    overlay.addEventListener("keydown", (event) => this.key(event));
  }

  screenPoint(event) {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  picturePoint(event) {
    return this.viewport.toPicture(this.screenPoint(event));
  }

  down(event) {
    if (!this.viewport.picture) return;
    this.overlay.focus({ preventScroll: true });
    this.overlay.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.keyboard = false;
    if (this.pointers.size === 2) {
      this.gesture?.cancel?.();
      this.gesture = this.pinching();
      return;
    }
    if (this.pointers.size > 2) return;
    const tool = event.button === 1 ? handTool : TOOLS[this.store.view.tool];
    this.gesture = tool.down(this, this.picturePoint(event), event);
    if (this.gesture) this.store.look({ drawing: true });
    this.redraw();
  }

  move(event) {
    this.cursor = this.viewport.picture ? this.picturePoint(event) : null;
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, event);
    // Between two frames a pen reports many places; all of them belong to the stroke.
    const moves = this.gesture && this.pointers.size === 1 ? event.getCoalescedEvents?.() ?? [] : [];
    for (const one of moves.length ? moves : [event]) this.gesture?.move?.(this.picturePoint(one), one);
    this.redraw();
  }

  up(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    if (this.pointers.size === 0) this.gesture = null;
    if (cancelled) gesture?.cancel?.();
    else gesture?.up?.(this.picturePoint(event), event);
    if (event.pointerType === "touch") this.cursor = null;
    this.store.look({ drawing: this.pointers.size > 0 });
    this.redraw();
  }

  /** Two fingers zoom and pan at once. */
  pinching() {
    const spread = () => {
      const [one, other] = [...this.pointers.values()].map((event) => this.screenPoint(event));
      return {
        middle: [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2],
        distance: Math.hypot(one[0] - other[0], one[1] - other[1]),
      };
    };
    let last = spread();
    return {
      move: () => {
        if (this.pointers.size < 2) return;
        const now = spread();
        this.viewport.pan(now.middle[0] - last.middle[0], now.middle[1] - last.middle[1]);
        this.viewport.zoom(now.distance / last.distance, now.middle);
        last = now;
      },
    };
  }

  doubleClick(event) {
    if (this.store.view.drafting) finishDraft(this.store);
    else if (["select", "draw"].includes(this.store.view.tool)) insertPoint(this, this.picturePoint(event), event);
  }

  wheel(event) {
    if (!this.viewport.picture) return;
    event.preventDefault();
    this.viewport.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), this.screenPoint(event));
    this.redraw();
  }

  zoom(factor) {
    if (factor) this.viewport.zoom(factor);
    else this.viewport.fit(this.viewport.picture);
    this.redraw();
  }

  // --- Keyboard: arrows move a cross, Enter is a click there ---

  key(event) {
    if (!this.viewport.picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way && this.store.view.tool !== "select") {
      const step = (event.shiftKey ? 1 : KEY_STEP) / this.viewport.scale;
      const { width, height } = this.viewport.picture;
      const [x, y] = this.cursor ?? [width / 2, height / 2];
      this.cursor = this.viewport.inside([x + step * way[0], y + step * way[1]]);
      this.keyboard = true;
      this.gesture?.move?.(this.cursor, event);
    } else if (event.key === "Enter" && this.keyboard && this.cursor) {
      this.press(event);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.redraw();
  }

  /** Enter presses at the cross and lets go again; the camera and the hand are held until the next Enter. */
  press(event) {
    if (this.gesture) {
      this.gesture.up?.(this.cursor, event);
      this.gesture = null;
      return;
    }
    const { tool } = this.store.view;
    const gesture = TOOLS[tool].down(this, this.cursor, event);
    if (tool === "camera") this.gesture = gesture;
    else gesture?.up?.(this.cursor, event);
  }
}

/** The pen of a canvas, in CSS pixels. */
function penOf(canvas) {
  const pen = canvas.getContext("2d");
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  return pen;
}
