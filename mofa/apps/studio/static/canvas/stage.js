/**
 * The canvas: the photo and what moves it, regions and drawing over each other; pointer, touch, wheel and keyboard
 * become gestures.
 */

import { debounced, h, penOf, show } from "../elements/dom.js";
import { photoAddress } from "../net/server.js";
import { pending } from "../state/pending.js";
import { moves } from "../state/preview.js";
import { t } from "../state/texts.js";
import { faceTool } from "./face_tool.js";
import { cameraTool, handTool } from "./frame_tools.js";
import { Moving } from "./moving.js";
import { outlineOf } from "./outline.js";
import { drawPhoto } from "./photo.js";
import { paintControls, paintHandles, paintMoving, paintRegions } from "./painter.js";
import { Pieces } from "./pieces.js";
import { brushTool, eraseTool, pickTool } from "./region_tools.js";
import { anchorTool, drawTool, finishDraft, hoveredPoint, insertPoint, removePointAt, selectTool } from "./shape_tools.js";
import { handlesOf, stillTool, swayTool, transformTool } from "./thing_tools.js";

const TOOLS = {
  select: selectTool, draw: drawTool, anchor: anchorTool, brush: brushTool, erase: eraseTool, pick: pickTool,
  camera: cameraTool, hand: handTool, face: faceTool, transform: transformTool, sway: swayTool, still: stillTool,
};
const REGION_SIDE = 900;
const KEY_STEP = 12;
/** Screen pixels that a hand moves on the photo before what plays by itself makes way for it. */
const STIRS = 24;
/** Milliseconds after which a hand over the photo looks at what is under it. */
const RESTS_AFTER = 160;

/** Milliseconds a frame that a hand feels. */
const LAGGING = 40;

export class Stage {
  /**
   * @param {import("../main.js").Services} services
   * @param {AbortSignal} signal ends it
   */
  constructor({ store, faces, viewport, player, preview, things, regions }, signal) {
    Object.assign(this, { store, faces, viewport, player, preview, things, regions, signal });
    this.store = store;
    this.faces = faces;
    this.viewport = viewport;
    this.player = player;
    this.preview = preview;
    this.things = things;
    this.regions = regions;
    /** Where the pointer, or the cross that keys move, is in the picture. @type {[number, number] | null} */
    this.cursor = null;
    this.keyboard = false;
    /** @type {Map<number, PointerEvent>} */
    this.pointers = new Map();
    /** @type {import("./shape_tools.js").Gesture | null} */
    this.gesture = null;
    /** What a press would take hold of. @type {{control: any, index: number} | null} */
    this.hovered = null;
    /** @type {import("../state/scene.js").Picture | null | undefined} */
    this.pictured = undefined;
    /** Milliseconds that frames take while a hand draws, about; whether that is too long for it. */
    this.pace = 0;
    this.lags = false;
    this.pieces = new Pieces();
    this.moving = new Moving();
    /** Called when what lies over the photo has moved on the screen. @type {(() => void) | undefined} */
    this.placed = undefined;
    this.signal = signal;
    this.redraw = this.redraw.bind(this);
    this.rests = debounced(() => {
      this.resting = true;
      this.redraw();
    }, RESTS_AFTER);
    this.photo = h("img.photo", { alt: "", draggable: false, onload: () => this.photoCame() });
    this.flow = h("img.flow", { alt: t("preview.flow"), hidden: true });
    this.tints = h("canvas.regions");
    this.overlay = h("canvas.overlay", { id: "canvas", tabIndex: 0, role: "application", "aria-label": t("stage.label") });
    this.controls = h("canvas.controls");
    this.element = h("div.canvas", {}, this.photo, this.moving.element, this.flow, this.tints, this.controls, this.overlay);
    this.listen();
    store.subscribe((what) => this.changed(what));
    store.followers.add(() => {
      this.painted = Boolean(store.view.painting);
      this.redraw();
    });
    for (const source of [faces, preview, regions]) source.addEventListener("change", () => this.arrived(), { signal });
    player.addEventListener("frame", this.redraw, { signal });
    player.addEventListener("state", this.redraw, { signal });
    this.changed("document");
    requestAnimationFrame((now) => this.loop(now, now));
  }

  // --- Following the store ---

  changed(what) {
    const { document, view } = this.store;
    if (document.picture !== this.pictured) this.showPicture(document.picture);
    if (what === "document" || view.painting !== this.shown?.painting || view.selected !== this.shown?.selected) {
      this.showRegions();
    }
    if (view.tool !== this.shown?.tool && view.drafting) finishDraft(this);
    if (what === "document" && this.shown && !this.gesture) this.showChange(document);
    this.viewport.frame(view.tool === "camera");
    this.shown = { ...view, document };
    this.overlay.style.cursor = TOOLS[view.tool].cursor;
    this.redraw();
  }

  /** Plays what has just been changed, if it moves. */
  showChange(document) {
    const { controls, picture } = document;
    const before = this.shown?.document;
    if (!before || before.controls === controls || before.picture !== picture) return;
    // Somebody types the pose of a moment: that moment stays.
    if (globalThis.document.activeElement?.closest(".pose")) this.redraw();
    else if (!moves(document)) this.player.rest();
    else if (!this.store.view.drawing) this.player.show();
  }

  showPicture(picture) {
    this.pictured = picture;
    this.player.rest();
    this.pieces.close();
    if (this.viewport.picture !== picture) this.viewport.fit(picture);
    this.photo.hidden = !picture;
    if (!picture) return;
    this.photo.src = photoAddress(picture.name);
    // One that another takes the place of, or that cannot be shown, is on its way no longer.
    pending(this.photo.decode()).catch(() => {});
    this.place();
  }

  photoCame() {
    this.pieces.open(this.photo);
    const { picture } = this.store.document;
    // The first look at a photo takes longest: it is begun before anybody asks.
    if (picture) this.things.at(picture, [picture.width / 2, picture.height / 2]);
    this.redraw();
  }

  showRegions() {
    const { document, view, selected } = this.store;
    const { picture } = document;
    if (!picture) return;
    const scale = Math.min(1, REGION_SIDE / Math.max(picture.width, picture.height));
    Object.assign(this.tints, { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
    const shown = view.painting
      ? [{ canvas: view.painting, colour: selected?.colour ?? "#fff" }]
      : [{ region: document.region, colour: "#fff" }, ...document.controls.filter((control) => !control.hidden)]
        .map(({ region, colour }) => ({ canvas: this.regions.canvas(region, picture), colour }));
    const layers = shown.flatMap(({ canvas, colour }) => (canvas ? [{ canvas, colour }] : []));
    const chosen = selected?.region ? this.regions.canvas(selected.region, picture) : null;
    this.outline = chosen && { paths: outlineOf(chosen), canvas: chosen, colour: selected?.colour ?? "#fff" };
    show(this.tints, layers.length > 0);
    paintRegions(penOf(this.tints), layers, chosen);
  }

  /** Something that was on its way has come: a mask, the true preview, how faces move. */
  arrived() {
    this.drawn = null;
    this.showRegions();
    this.redraw();
  }

  /** Draws again with the next frame. */
  redraw() {
    this.stale = true;
  }

  loop(now, before) {
    this.player.tick((now - before) / 1000);
    // A machine that is slow under the hand gets less to draw until the hand is gone.
    this.pace = this.gesture ? (this.pace + now - before) / 2 : 0;
    this.lags = this.gesture ? this.lags || this.pace > LAGGING : false;
    // The line round what is selected moves as long as it is there.
    if (this.stale || (this.outline && !this.player.playing)) {
      this.stale = false;
      if (this.viewport.picture) this.draw(now);
    }
    if (!this.signal.aborted) requestAnimationFrame((later) => this.loop(later, now));
  }

  draw(now) {
    const { store, viewport, cursor, keyboard, player, hovered } = this;
    const { controls, region } = store.document;
    const { selected, point, tool } = store.view;
    if (this.painted) this.showRegions();
    this.painted = false;
    const moving = drawPhoto(this);
    const looks = [controls, region, selected, point, tool, viewport.version, hovered, store.view.also];
    if (looks.some((look, k) => look !== this.drawn?.[k])) {
      this.drawn = looks;
      this.place();
      this.placed?.();
      paintControls(screenPen(this.controls), viewport, store, this.faces, hovered);
    }
    this.element.dataset.moving = moving;
    const turning = store.selected?.kind === "transform" && !player.playing ? handlesOf(this, store.selected) : null;
    paintMoving(screenPen(this.overlay), viewport, store, {
      frame: player.frame, ghosts: player.playing || player.frame > 0, cursor, keyboard, faces: this.faces, now,
      outline: moving === "still" ? this.outline ?? null : null, hoveredThing: this.hoveredThing(),
    });
    if (turning) paintHandles(screenPen(this.overlay), viewport, turning, store.selected?.colour ?? "#fff");
  }

  /** The thing under the hand, before it has begun a line there. */
  hoveredThing() {
    const { store, cursor } = this;
    const { picture } = store.document;
    const { tool, drafting } = store.view;
    if (!picture || !cursor || this.hovered || this.gesture || drafting || this.player.playing) return null;
    if (!["draw", "pick", "transform", "sway"].includes(tool) || !this.viewport.contains(cursor) || !this.resting) return null;
    const thing = this.things.at(picture, cursor);
    return typeof thing === "object" && this.things.meant(thing) ? outlineOf(thing.canvas) : null;
  }

  place() {
    const { viewport } = this;
    if (!viewport.picture) return;
    const { width, height } = viewport.picture;
    for (const layer of [this.photo, this.moving.element, this.flow, this.tints]) {
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
      this.drawn = null;
      this.redraw();
    }).observe(this.element);
    overlay.addEventListener("pointerdown", (event) => this.down(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", (event) => this.up(event));
    overlay.addEventListener("pointercancel", (event) => this.up(event, true));
    overlay.addEventListener("pointerleave", () => {
      if (!this.keyboard) this.cursor = null;
      this.hovered = null;
      this.redraw();
    });
    overlay.addEventListener("dblclick", (event) => this.doubleClick(event));
    overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    overlay.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      removePointAt(this, this.picturePoint(event), event);
    });
    overlay.addEventListener("keydown", (event) => this.key(event));
  }

  /** @returns {[number, number]} */
  screenPoint(event) {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  picturePoint(event) {
    return this.viewport.toPicture(this.screenPoint(event));
  }

  down(event) {
    if (!this.viewport.picture || event.button === 2) return;
    this.overlay.focus({ preventScroll: true });
    this.overlay.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.keyboard = false;
    if (this.pointers.size === 2) {
      this.drop();
      this.gesture = this.pinching();
      return;
    }
    if (this.pointers.size > 2) return;
    const tool = event.button === 1 ? handTool : TOOLS[this.store.view.tool];
    if (tool === transformTool) this.player.pause();
    else if (tool !== handTool) this.player.rest();
    this.gesture = tool.down(this, this.picturePoint(event), event);
    if (this.gesture) this.store.look({ drawing: true });
    this.redraw();
  }

  move(event) {
    this.cursor = this.viewport.picture ? this.picturePoint(event) : null;
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, event);
    else this.hover(event);
    // Between two frames a pen reports many places; all of them belong to the stroke.
    const moves_ = this.gesture && this.pointers.size === 1 ? event.getCoalescedEvents?.() ?? [] : [];
    for (const one of moves_.length ? moves_ : [event]) this.gesture?.move?.(this.picturePoint(one), one);
    this.redraw();
  }

  /** A hand over the photo: what it would grab is shown, and what plays by itself makes way. */
  hover(event) {
    if (!this.cursor) return;
    this.hovered = hoveredPoint(this, this.cursor, event);
    const [x, y] = this.screenPoint(event);
    const [fromX, fromY] = this.stirred ?? [x, y];
    this.stirred = [fromX, fromY];
    if (this.player.playing && this.player.byItself && Math.hypot(x - fromX, y - fromY) > STIRS) this.player.rest();
    this.resting = false;
    this.rests();
  }

  up(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    if (this.pointers.size === 0) this.gesture = null;
    if (cancelled) gesture?.cancel?.();
    else gesture?.up?.(this.picturePoint(event), event);
    if (event.pointerType === "touch") this.cursor = null;
    this.stirred = null;
    this.hovered = null;
    this.store.look({ drawing: this.pointers.size > 0 });
    if (gesture?.changes && !cancelled && this.pointers.size === 0 && moves(this.store.document)) this.player.show();
    this.redraw();
  }

  /** Ends what the hand is doing as if it had never begun; true when there was something. */
  drop() {
    if (!this.gesture) return false;
    this.gesture.cancel?.();
    this.gesture = null;
    this.store.look({ drawing: false });
    this.redraw();
    return true;
  }

  /** Two fingers zoom and pan at once. */
  pinching() {
    const spread = () => {
      const [one, other] = [...this.pointers.values()].map((event) => this.screenPoint(event));
      return {
        middle: /** @type {[number, number]} */ ([(one[0] + other[0]) / 2, (one[1] + other[1]) / 2]),
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
    if (this.store.view.drafting) finishDraft(this);
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
      this.press(event, this.cursor);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.redraw();
  }

  /** Enter presses at the cross and lets go again; the camera and the hand are held until the next Enter. */
  press(event, cursor) {
    if (this.gesture) {
      this.gesture.up?.(cursor, event);
      this.gesture = null;
      return;
    }
    const { tool } = this.store.view;
    const gesture = TOOLS[tool].down(this, cursor, event);
    if (tool === "camera") this.gesture = gesture;
    else gesture?.up?.(cursor, event);
  }
}

/** The pen of a canvas, in CSS pixels. */
function screenPen(canvas) {
  const pen = penOf(canvas);
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  return pen;
}
