/**
 * Which part of the photo the stage shows. Picture points count from pixel centres, screen points are CSS pixels.
 * @typedef {[number, number]} Point
 */

const CLOSEST = 16;
const MARGIN = 24;
/** Room below the photo for the line that says what a tool does. */
const TIP = 22;
/** Room for the camera's frame, as a share of the stage. */
const CAMERA_MARGIN = 0.13;

export class Viewport {
  constructor() {
    /** Screen pixels per picture pixel. */
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.width = 0;
    this.height = 0;
    /** @type {import("../state/scene.js").Picture | null} */
    this.picture = null;
    this.fitted = true;
    this.framing = false;
    /** Counts the changes, so that whoever draws knows of them. */
    this.version = 0;
  }

  /** The stage has another size: what was fitted stays fitted. */
  resize(width, height) {
    Object.assign(this, { width, height });
    this.version += 1;
    if (this.fitted) this.fit(this.picture);
  }

  /** Leaves room round the photo for the camera's frame, or no longer. */
  frame(framing) {
    if (framing === this.framing) return;
    this.framing = framing;
    if (this.fitted) this.fit(this.picture);
  }

  /** Shows the whole photo. */
  fit(picture) {
    this.version += 1;
    this.picture = picture;
    this.fitted = true;
    if (!picture || !this.width) return;
    const margin = this.framing
      ? CAMERA_MARGIN * Math.min(this.width, this.height)
      : Math.min(MARGIN, this.width / 30);
    const height = this.height - TIP;
    this.scale = Math.min((this.width - 2 * margin) / picture.width, (height - 2 * margin) / picture.height);
    this.left = (this.width - picture.width * this.scale) / 2;
    this.top = (height - picture.height * this.scale) / 2;
  }

  /** Zooms by a factor; what is at the screen point stays there. */
  zoom(factor, [x, y] = [this.width / 2, this.height / 2]) {
    this.version += 1;
    if (!this.picture) return;
    const smallest = 0.5 * Math.min(this.width / this.picture.width, this.height / this.picture.height);
    const scale = Math.min(CLOSEST, Math.max(smallest, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
  }

  pan(dx, dy) {
    this.version += 1;
    this.left += dx;
    this.top += dy;
    this.fitted = false;
  }

  /** @param {number[]} point @returns {Point} */
  toScreen([x, y]) {
    return [this.left + (x + 0.5) * this.scale, this.top + (y + 0.5) * this.scale];
  }

  /** @param {number[]} point @returns {Point} */
  toPicture([x, y]) {
    return [(x - this.left) / this.scale - 0.5, (y - this.top) / this.scale - 0.5];
  }

  /** The nearest point inside the photo. @param {number[]} point @returns {Point} */
  inside([x, y]) {
    const held = (value, length) => Math.min(length - 1, Math.max(0, value));
    const { width, height } = this.picture ?? { width: 1, height: 1 };
    return [held(x, width), held(y, height)];
  }

  contains([x, y]) {
    const { width, height } = this.picture ?? { width: 0, height: 0 };
    return x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5;
  }
}
