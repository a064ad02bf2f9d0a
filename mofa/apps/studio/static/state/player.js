/**
 * The playhead: which frame of the clip is shown, on the photo and in the timeline. It runs as fast as the clip will;
 * where something speaks and a person asked to play, the sound leads.
 */

import { soundAddress } from "../net/server.js";

const REST_SECONDS = 0.6;
/** Seconds that the picture may be ahead of or behind its sound before the sound is put right. */
const SLACK = 0.15;

/** Tells "state" when it starts or stops, and "frame" with every frame. */
export class Player extends EventTarget {
  frame = 0;
  playing = false;
  /** It plays because something has changed, not because somebody asked to. */
  byItself = false;
  /** @type {HTMLAudioElement | null} */
  #sound = null;
  #clock = 0;

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    super();
    this.store = store;
    store.lasting.push(() => this.#bounded());
  }

  get #last() {
    return this.store.document.frames - 1;
  }

  /** Plays from where it is, with its sound. */
  play() {
    this.#start(false);
    const spoken = this.store.document.controls.find((control) => control.kind === "landmarks" && control.source === "speech" && !control.hidden);
    if (!spoken || spoken.kind !== "landmarks") return;
    this.#sound = new Audio(soundAddress(spoken.file));
    this.#sound.currentTime = this.frame / this.store.document.fps;
    // A browser that allows no sound plays without.
    this.#sound.play().catch(() => { this.#sound = null; });
  }

  /** Shows what has just changed, from the beginning and silently. */
  show() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.#moveTo(0);
    this.#start(true);
  }

  #start(byItself) {
    this.#silence();
    if (this.frame >= this.#last) this.#moveTo(0);
    Object.assign(this, { playing: true, byItself });
    this.dispatchEvent(new Event("state"));
  }

  pause() {
    if (!this.playing) return;
    this.#silence();
    this.playing = false;
    this.dispatchEvent(new Event("state"));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Back to the photo as it is. */
  rest() {
    this.pause();
    if (this.frame) this.#moveTo(0);
  }

  /** Shows one moment. */
  seek(frame) {
    this.pause();
    this.#moveTo(Math.min(this.#last, Math.max(0, frame)));
  }

  /** Lets so many seconds pass; it rests a moment at the end, and begins anew. */
  tick(seconds) {
    if (!this.playing) return;
    const { fps } = this.store.document;
    let clock = this.#clock + seconds * fps;
    if (this.#sound && !this.#sound.ended && !this.#sound.paused) {
      const heard = this.#sound.currentTime * fps;
      if (Math.abs(heard - clock) > SLACK * fps) clock = heard;
    }
    if (clock > this.#last + REST_SECONDS * fps) {
      clock = 0;
      if (this.#sound) {
        this.#sound.currentTime = 0;
        this.#sound.play().catch(() => {});
      }
    }
    this.#moveTo(clock);
  }

  #moveTo(clock) {
    this.#clock = clock;
    this.frame = Math.min(clock, this.#last);
    this.dispatchEvent(new Event("frame"));
  }

  #silence() {
    this.#sound?.pause();
    this.#sound = null;
  }

  #bounded() {
    if (this.frame > this.#last) this.#moveTo(this.#last);
  }
}
