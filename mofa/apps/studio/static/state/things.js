/** The things of the photo that the server has found so far: asked for in words, known by their masks. */

import { loaded } from "../canvas/masks.js";
import { penOf } from "../elements/dom.js";
import { thingIn } from "../net/server.js";
import { pending } from "./pending.js";
import { selectionAt } from "./selection.js";

/** Above this share of the photo a thing is most of the scene: nobody means that by a line. */
const LARGEST = 0.75;
/** What counts as inside a soft mask. */
const INSIDE = 127;

/** @typedef {{select: string, canvas: HTMLCanvasElement, share: number, thing: boolean}} Thing */

/** Tells with a "change" when a thing was found. */
export class Things extends EventTarget {
  /** @type {Map<string, Thing | "looking" | "nothing">} */
  #asked = new Map();
  /** @type {{picture: string, things: Thing[]}} */
  #found = { picture: "", things: [] };

  /**
   * The thing at a place, or just beside it: one that is known to be there, else the server looks.
   * @param {import("./scene.js").Picture} picture
   * @param {[number, number]} place
   * @returns {Thing | "looking" | "nothing"}
   */
  at(picture, place) {
    const known = this.#found.picture === picture.name && this.#found.things.find((thing) => contains(thing, place, picture));
    return known || this.#ask(picture, selectionAt(place), true);
  }

  /**
   * What a selection in words means.
   * @param {import("./scene.js").Picture} picture
   * @param {string} select
   */
  selected(picture, select) {
    return this.#ask(picture, select, false);
  }

  /** @returns {Thing | "looking" | "nothing"} */
  #ask(picture, select, near) {
    const key = keyOf(picture, select, near);
    const known = this.#asked.get(key);
    if (known) return known;
    this.#asked.set(key, "looking");
    pending(this.#look(picture, select, near));
    return "looking";
  }

  /** Whether a person who starts a line on it means the thing, rather than a place in the scene. */
  meant(thing) {
    return typeof thing === "object" && thing.thing && thing.share <= LARGEST;
  }

  async #look(picture, select, near) {
    try {
      const { select: meant, mask, share, thing } = await thingIn(picture.name, select, near);
      const found = { select: meant, canvas: await loaded(mask), share, thing };
      this.#asked.set(keyOf(picture, select, near), found);
      // In the words that were found it is known from now on, too.
      this.#asked.set(keyOf(picture, meant, false), found);
      if (this.#found.picture !== picture.name) this.#found = { picture: picture.name, things: [] };
      if (this.meant(found) && !/[ :]/.test(meant)) this.#found.things.push(found);
    } catch {
      this.#asked.set(keyOf(picture, select, near), "nothing");
    }
    this.dispatchEvent(new Event("change"));
  }
}

const keyOf = (picture, select, near) => `${picture.name} ${select}${near ? " near" : ""}`;

/** @type {WeakMap<HTMLCanvasElement, ImageData>} */
const pixels = new WeakMap();

const contains = ({ canvas }, place, picture) => covers(canvas, place, picture);

/**
 * Whether a place of the picture lies under a mask.
 * @param {HTMLCanvasElement | null} canvas white on transparent
 * @param {[number, number]} place
 * @param {{width: number, height: number}} picture
 */
export function covers(canvas, [x, y], picture) {
  if (!canvas) return false;
  let data = pixels.get(canvas);
  if (!data) {
    data = penOf(canvas).getImageData(0, 0, canvas.width, canvas.height);
    pixels.set(canvas, data);
  }
  const column = Math.floor(((x + 0.5) * canvas.width) / picture.width);
  const row = Math.floor(((y + 0.5) * canvas.height) / picture.height);
  return data.data[4 * (row * canvas.width + column) + 3] > INSIDE;
}
