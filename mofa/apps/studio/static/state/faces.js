/**
 * The faces of the photo and how they are driven: found by the server, asked for again when something changes.
 * @typedef {[number, number][]} Points the 68 points of a face, in picture pixels
 */

import { debounced } from "../elements/dom.js";
import { toScene } from "./scene.js";
import { facesIn, landmarks } from "../net/server.js";

const PAUSE = 400;

/** Tells with a "change" that there is something new to draw. */
export class Faces extends EventTarget {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    super();
    this.store = store;
    this.changed = () => this.dispatchEvent(new Event("change"));
    /** @type {Map<string, {faces: Points[] | null, problem: unknown}>} */
    this.found = new Map();
    /** @type {Map<number, Points[]>} control -> its points per frame */
    this.clips = new Map();
    /** @type {AbortController | null} */
    this.asking = null;
    this.asked = "";
    this.ask = debounced(() => this.follow(), PAUSE);
    store.lasting.push((what) => what === "document" && this.ask());
  }

  /** The photo's faces, the largest first; null while they are looked for. */
  get detected() {
    const { picture } = this.store.document;
    if (!picture) return null;
    if (!this.found.has(picture.name)) {
      /** @type {{faces: Points[] | null, problem: unknown}} */
      const entry = { faces: null, problem: null };
      this.found.set(picture.name, entry);
      facesIn(picture.name).then(({ faces }) => { entry.faces = faces; }, (problem) => {
        entry.faces = [];
        entry.problem = problem;
      }).then(this.changed);
    }
    return this.found.get(picture.name)?.faces ?? null;
  }

  /** Why nobody could look for faces in the photo; null where somebody could. */
  get problem() {
    return this.found.get(this.store.document.picture?.name ?? "")?.problem ?? null;
  }

  /** Where a driven face is at rest: as set by hand, else as found. */
  rest(control) {
    if (control.points) return control.points;
    const faces = this.detected;
    if (!faces?.length) return null;
    return typeof control.face === "number" ? faces[control.face - 1] : nearest(faces, control.face);
  }

  /** The points of a driven face at a frame, once the server has said how it moves. */
  at(control, frame) {
    const clip = this.clips.get(control.id);
    return clip?.[Math.min(clip.length - 1, Math.round(frame))] ?? null;
  }

  /** Asks how the driven faces move, when that may have changed. */
  async follow() {
    const { document } = this.store;
    const controls = document.controls.filter((control) => control.kind === "landmarks");
    const { frames, fps, picture } = document;
    const wanted = JSON.stringify([picture?.name, frames, fps, controls]);
    if (!controls.length || wanted === this.asked) return;
    this.asked = wanted;
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const clip = await landmarks(await toScene({ ...document, controls }), signal);
      if (clip.cancelled || signal.aborted) return;
      controls.forEach((control, k) => this.clips.set(control.id, clip.faces[k]));
      this.changed();
    } catch {
      // The preview asks the same and says what is wrong.
      if (!signal.aborted) controls.forEach((control) => this.clips.delete(control.id));
    }
  }
}

/** @param {Points} points @returns {[number, number]} */
export function middle(points) {
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  return [mean(0), mean(1)];
}

/** The face whose middle is nearest to a place. */
export function nearest(faces, [x, y]) {
  const away = (points) => Math.hypot(middle(points)[0] - x, middle(points)[1] - y);
  return faces.reduce((best, face) => (away(face) < away(best) ? face : best));
}
