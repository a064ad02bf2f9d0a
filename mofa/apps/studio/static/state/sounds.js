/** What sounds look like: read by the browser once, drawn over the length of the clip. */

import { soundAddress } from "../net/server.js";
import { pending } from "./pending.js";

const STEPS = 200;

/** Tells with a "change" when a sound has been read. */
export class Sounds extends EventTarget {
  /** @type {Map<string, {peaks: Float32Array, seconds: number} | null>} null while it is on its way */
  #read = new Map();

  /**
   * A sound's loudness over a clip, as the path of a shape 100 wide and 20 high; null while it is not known.
   * @param {string} file
   * @param {{frames: number, fps: number}} clip
   */
  wave(file, { frames, fps }) {
    if (!this.#read.has(file)) {
      this.#read.set(file, null);
      pending(this.#listen(file));
    }
    const sound = this.#read.get(file);
    if (!sound) return null;
    const perStep = frames / fps / STEPS;
    const heights = Array.from({ length: STEPS }, (_, k) => {
      const at = Math.floor((k * perStep * sound.peaks.length) / sound.seconds);
      return 9.5 * (sound.peaks[at] ?? 0);
    });
    const edge = (sign) => heights.map((height, k) => `${((100 * k) / (STEPS - 1)).toFixed(1)} ${(10 + sign * height).toFixed(1)}`);
    return `M${edge(-1).join("L")}L${edge(1).reverse().join("L")}Z`;
  }

  async #listen(file) {
    try {
      const content = await (await fetch(soundAddress(file))).arrayBuffer();
      const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(content);
      this.#read.set(file, { peaks: loudness(sound.getChannelData(0)), seconds: sound.duration });
      this.dispatchEvent(new Event("change"));
    } catch {
      // A sound that this browser cannot read is named instead.
    }
  }
}

/** The loudest of every hundredth part of a second, the loudest of all being 1. */
function loudness(samples) {
  const step = 160;
  const peaks = new Float32Array(Math.ceil(samples.length / step));
  for (let k = 0; k < samples.length; k += 1) {
    const bin = Math.floor(k / step);
    peaks[bin] = Math.max(peaks[bin], Math.abs(samples[k]));
  }
  const most = Math.max(1e-6, ...peaks);
  return peaks.map((peak) => peak / most);
}
