/**
 * The true preview: the server renders the clip small after every change. Until it is there, the browser's own
 * guess moves.
 */

import { debounced } from "../elements/dom.js";
import { preview } from "../net/server.js";
import { askedControls, spotOf } from "./problems.js";
import { toScene } from "./scene.js";

const PAUSE = 120;
/** What a preview depends on; seeds and the renderer's settings are for the clip alone. */
const MATTERS = /** @type {const} */ (["frames", "fps", "fit", "loop", "region", "controls", "picture", "size"]);

/** @typedef {{image: HTMLImageElement, columns: number, count: number, width: number, height: number, flow: string}} Sheet */

/** Tells with a "change" when it begins, ends or is out of date. */
export class Preview extends EventTarget {
  busy = false;
  /** Seconds that the last one took. */
  seconds = 0;
  /** @type {Sheet | null} */
  #sheet = null;
  /** @type {import("./scene.js").Document | null} */
  #of = null;
  /** @type {AbortController | null} */
  #asking = null;
  #wanted = false;

  /** @param {import("./store.js").Store} store @param {import("./problems.js").Notices} notices */
  constructor(store, notices) {
    super();
    this.store = store;
    this.notices = notices;
    this.#before = store.document;
    store.lasting.push((what) => (what === "document" ? this.#changed() : this.#handMoved()));
  }

  /** @type {import("./scene.js").Document} */
  #before;

  /** The frames of the document as it is now, or null while there are none. */
  get sheet() {
    return this.#of && alike(this.#of, this.store.document) ? this.#sheet : null;
  }

  #changed() {
    const now = this.store.document;
    if (alike(this.#before, now)) return;
    this.#before = now;
    this.#wanted = true;
    this.#asking?.abort();
    this.#tell();
    this.#soon();
  }

  /** A hand that draws needs the machine for itself; the preview comes when it rests. */
  #handMoved() {
    if (this.store.view.drawing && this.#asking) {
      this.#asking.abort();
      this.#wanted = true;
    } else if (!this.store.view.drawing && this.#wanted) this.#soon();
  }

  #soon = debounced(() => this.#ask(), PAUSE);

  async #ask() {
    const { document, view } = this.store;
    if (view.drawing || !this.#wanted) return;
    this.#asking?.abort();
    this.#wanted = false;
    if (!document.picture || !moves(document)) {
      this.busy = false;
      this.#tell();
      return;
    }
    const asking = this.#asking = new AbortController();
    const { signal } = asking;
    const began = performance.now();
    this.busy = true;
    this.#tell();
    try {
      const made = await preview(await toScene(document), signal);
      if (signal.aborted) return;
      if (!made.cancelled) {
        const image = new Image();
        image.src = made.sheet;
        await image.decode();
        this.#sheet = { image, columns: made.columns, count: made.count, width: made.width, height: made.height, flow: made.flow };
        this.#of = document;
        this.seconds = (performance.now() - began) / 1000;
      }
    } catch (problem) {
      if (signal.aborted) return;
      this.notices.tell("preview", problem, spotOf(problem, askedControls(document)) ?? { part: "photo", control: null });
    }
    this.#asking = null;
    this.busy = false;
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Whether anything in a document moves, so that a clip can be made of it. */
export const moves = (document) => document.controls.some((control) => !control.hidden && control.kind !== "still");

const alike = (one, other) => MATTERS.every((key) => one[key] === other[key]);
