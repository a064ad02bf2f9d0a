/**
 * What went wrong, in the reader's words and beside what it is about. The server tells it by key; the page keeps it
 * until the next change, so that it is said anew when the language changes.
 */

import { inLanguage, t } from "./texts.js";

/**
 * @typedef {{error: string, key?: string, values?: Record<string, string | number>, place?: string}} Told as the server tells it;
 *   `place` is where in the scene it lies: "controls.1.end"
 * @typedef {{part: string, control: number | null}} Spot what on the page a problem is about: a part of it, and of which
 *   control; null where it is about none, or whichever is selected
 */

/** @type {Record<string, {en: string, zh: string}>} */
let known = {};

/** @param {Record<string, {en: string, zh: string}>} problems */
export function setProblems(problems) {
  known = problems;
}

/** A problem that the server has told. */
export class Problem extends Error {
  /** @param {Told} told */
  constructor(told) {
    super(told.error);
    this.told = told;
  }
}

/**
 * A problem as the page says it; one that has no words here is said as the server does.
 * @param {unknown} problem
 */
export function sentenceOf(problem) {
  if (!(problem instanceof Problem)) return problem instanceof Error ? problem.message : String(problem);
  const { error, key = "", values = {} } = problem.told;
  if (key in known) return inLanguage(known[key]).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  return t("problem.other", { sentence: error.charAt(0).toUpperCase() + error.slice(1) });
}

/** The beginning of a key, or all of it -> the part of the page where that is set right. The longest counts. */
const PART_OF_KEY = {
  timing: "when", "clip.long": "length", "clip.large": "size", memory: "size", "track.region": "region", "transform.region": "region",
  "mask.aspect": "region", "mask.nothing": "region", "selection.points": "region", depth: "depth", face: "face", faces: "face", driver: "face", sound: "face",
  photo: "photo", weights: "weights", download: "weights", packages: "weights", adapter: "weights", "transform.scale": "pose",
  "device.none": "setting.device", "device.unknown": "setting.device", "device.float16": "setting.precision", guide: "setting.guide",
  attention: "setting.attention", offload: "setting.offload", "memory.process": "setting.devices", "steps.range": "setting.steps",
  "stride.range": "setting.stride", "window.range": "setting.window", "seed.range": "seed",
};
/** A field of the scene -> the same. */
const PART_OF_FIELD = {
  start: "when", end: "when", region: "region", depth: "depth", parallax: "depth", face: "face", speech: "face", video: "face", file: "face",
  frames: "length", fps: "fps", size: "size", seed: "seed", renderer: "renderer", picture: "photo", keys: "pose",
};

/**
 * What on the page a problem is about; null where the server does not say.
 * @param {unknown} problem
 * @param {number[]} controls those of the scene that was asked for, in its order
 * @returns {Spot | null}
 */
export function spotOf(problem, controls) {
  if (!(problem instanceof Problem)) return null;
  const { key = "", place = "" } = problem.told;
  const [head, ...rest] = place.split(".");
  const control = head === "controls" && rest.length ? controls[Number(rest[0])] ?? null : null;
  const named = key in PART_OF_KEY ? key : key.split(".")[0];
  if (head === "diffusion" && rest.length) return { part: `setting.${rest[0]}`, control };
  const part = PART_OF_FIELD[control === null ? head : rest[1]] ?? PART_OF_KEY[named];
  if (control !== null) return { part: part ?? "line", control };
  return part ? { part, control } : null;
}

/** The controls that a scene of this document has, in its order. */
export const askedControls = (document) => document.controls.filter(({ hidden }) => !hidden).map(({ id }) => id);

/** The problems there are, each of whoever has met it. Tells with a "change" when one comes or goes. */
export class Notices extends EventTarget {
  /** @type {Map<string, {problem: unknown, spot: Spot}>} */
  #all = new Map();

  /**
   * @param {string} source whose last problem it is: "preview", "clip", "file", "keep", "faces", "weights"
   * @param {unknown} problem
   * @param {Spot} spot
   */
  tell(source, problem, spot) {
    this.#all.set(source, { problem, spot });
    this.dispatchEvent(new Event("change"));
  }

  /** Lets go of one source's problem, or of all: they are no news any more. */
  clear(source = "") {
    const before = this.#all.size;
    if (source) this.#all.delete(source);
    else this.#all.clear();
    if (this.#all.size !== before) this.dispatchEvent(new Event("change"));
  }

  get all() {
    return [...this.#all.values()];
  }

  /**
   * What is wrong with a part of the page, in words; "" where nothing is.
   * @param {string} part
   * @param {number | null} [control] whose part it is
   */
  at(part, control = null) {
    const found = this.all.find(({ spot }) => spot.part === part && (spot.control === control || spot.control === null));
    return found ? sentenceOf(found.problem) : "";
  }
}
