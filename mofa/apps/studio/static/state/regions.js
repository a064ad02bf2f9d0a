/** Where things may move, as pictures: painted masks and selected things alike. */

import { borderCanvas, maskCanvas } from "../canvas/masks.js";

/** Tells with a "change" when a picture that was asked for has arrived. */
export class Regions extends EventTarget {
  /** @param {import("./things.js").Things} things */
  constructor(things) {
    super();
    this.things = things;
    this.changed = () => this.dispatchEvent(new Event("change"));
    things.addEventListener("change", this.changed);
  }

  /**
   * White on transparent, of any size; null while it is on its way.
   * @param {import("./scene.js").Region} region
   * @param {import("./scene.js").Picture} picture
   * @returns {HTMLCanvasElement | null}
   */
  canvas(region, picture) {
    if (!region) return null;
    if ("border" in region) return borderCanvas(picture, region.border);
    if ("mask" in region) return maskCanvas(region.mask, this.changed);
    const thing = this.things.selected(picture, region.select);
    return typeof thing === "object" ? thing.canvas : null;
  }
}
