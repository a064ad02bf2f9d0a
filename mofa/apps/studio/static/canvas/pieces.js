/**
 * The photo taken apart: every thing that moves cut out, and the ground behind them filled in from around.
 * @typedef {{canvas: HTMLCanvasElement, box: [number, number, number, number]}} Piece its place in picture pixels
 */

import { penOf } from "../elements/dom.js";
import { extentOf } from "./outline.js";

const LONGEST = 1280;
/** Pixels that a hole reaches beyond its thing, so that no rim of the thing stays behind. */
const RIM = 3;
/** Pixels of the photo around a thing's box, for its soft rim. */
const AROUND = 6;

export class Pieces {
  /** @type {HTMLCanvasElement | null} */
  #photo = null;
  /** @type {WeakMap<HTMLCanvasElement, Piece>} */
  #cut = new WeakMap();
  /** @type {{masks: HTMLCanvasElement[], canvas: HTMLCanvasElement} | null} */
  #ground = null;

  /** Another photo. @param {HTMLImageElement} image loaded */
  open(image) {
    const scale = Math.min(1, LONGEST / Math.max(image.naturalWidth, image.naturalHeight));
    this.#photo = blank(Math.round(image.naturalWidth * scale), Math.round(image.naturalHeight * scale));
    penOf(this.#photo).drawImage(image, 0, 0, this.#photo.width, this.#photo.height);
    this.#cut = new WeakMap();
    this.#ground = null;
  }

  close() {
    this.#photo = null;
  }

  get ready() {
    return this.#photo !== null;
  }

  /** The photo as it is. */
  get photo() {
    return /** @type {HTMLCanvasElement} */ (this.#photo);
  }

  /**
   * The part of the photo under a mask, no larger than it has to be: what is drawn with every frame costs its area.
   * @param {HTMLCanvasElement} mask white on transparent, of any size
   * @param {{width: number, height: number}} picture
   * @returns {Piece}
   */
  cut(mask, picture) {
    let piece = this.#cut.get(mask);
    if (!piece) {
      const { width, height } = this.photo;
      const [across, down] = [width / picture.width, height / picture.height];
      const [left, top, right, bottom] = extentOf(mask, picture).box;
      // The box in the photo's pixels, on whole ones; that of nothing is no box.
      const [x0, y0] = [Math.max(0, Math.floor((left + 0.5) * across - AROUND)), Math.max(0, Math.floor((top + 0.5) * down - AROUND))];
      const [x1, y1] = [Math.min(width, Math.ceil((right + 0.5) * across + AROUND)), Math.min(height, Math.ceil((bottom + 0.5) * down + AROUND))];
      const seen = x1 > x0 && y1 > y0;
      const [x, y, w, h] = seen ? [x0, y0, x1 - x0, y1 - y0] : [0, 0, 1, 1];
      const canvas = blank(w, h);
      const pen = penOf(canvas);
      pen.drawImage(mask, -x, -y, width, height);
      pen.globalCompositeOperation = "source-in";
      pen.drawImage(this.photo, -x, -y);
      piece = { canvas, box: [x / across - 0.5, y / down - 0.5, (x + w) / across - 0.5, (y + h) / down - 0.5] };
      this.#cut.set(mask, piece);
    }
    return piece;
  }

  /**
   * The photo with what lies under the masks taken away, and filled in.
   * @param {HTMLCanvasElement[]} masks
   */
  ground(masks) {
    const kept = this.#ground;
    if (kept && kept.masks.length === masks.length && masks.every((mask, k) => mask === kept.masks[k])) return kept.canvas;
    const canvas = masks.length ? filled(this.photo, masks) : this.photo;
    this.#ground = { masks, canvas };
    return canvas;
  }
}

function blank(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, width), Math.max(1, height)];
  return canvas;
}

/** Colours flow into the holes: smaller and smaller copies of what is known are laid behind. */
function filled(photo, masks) {
  const open = blank(photo.width, photo.height);
  const pen = penOf(open);
  pen.drawImage(photo, 0, 0);
  pen.globalCompositeOperation = "destination-out";
  pen.filter = `blur(${RIM}px)`;
  for (const mask of masks) for (let round = 0; round < 4; round += 1) pen.drawImage(mask, 0, 0, open.width, open.height);
  const levels = [open];
  for (let level = open; Math.min(level.width, level.height) > 2; ) {
    const half = blank(Math.ceil(level.width / 2), Math.ceil(level.height / 2));
    penOf(half).drawImage(level, 0, 0, half.width, half.height);
    levels.push(half);
    level = half;
  }
  for (let k = levels.length - 1; k >= 0; k -= 1) {
    const level = levels[k];
    const behind = levels[k + 1] ?? level;
    const under = penOf(level);
    Object.assign(under, { filter: "none", globalCompositeOperation: "destination-over" });
    for (let round = 0; round < (behind === level ? 12 : 1); round += 1) under.drawImage(behind, 0, 0, level.width, level.height);
  }
  return open;
}
