/**
 * The clip that is being made. It goes on through reloads and lost connections, and begins again by itself when
 * the server was started anew. The page names the job, so that asking twice never makes it twice.
 */

import { cancel, job as ask, render } from "../net/server.js";
import { Problem, spotOf } from "./problems.js";

const PAUSE = 250;
const KEPT = "mofa-render";
const OVER = ["done", "failed", "cancelled"];

export class Rendering extends EventTarget {
  /** @type {import("../net/jobs.js").JobState | null} */
  job = null;
  /** The furthest share of the job that was shown: a bar never goes back. */
  share = 0;
  /** @type {AbortController | null} */
  #running = null;

  /** @param {import("./problems.js").Notices} notices */
  constructor(notices) {
    super();
    this.notices = notices;
  }

  get active() {
    return this.#running !== null;
  }

  /**
   * Begins a clip.
   * @param {() => Promise<Record<string, any>>} scene
   * @param {number[]} controls those that it has, in its order
   */
  async begin(scene, controls) {
    if (this.active) return;
    const running = this.#started();
    const name = Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("").padEnd(8, "0");
    try {
      const asked = { name, scene: await scene(), controls };
      localStorage.setItem(KEPT, JSON.stringify(asked));
      await this.#follow(asked, running);
    } catch (problem) {
      this.#ended(running);
      this.#tell(problem, controls);
    }
  }

  /** Goes on with what another page of this visit, or this one before a reload, has begun. */
  async resume() {
    const kept = localStorage.getItem(KEPT);
    if (!kept || this.active) return;
    const running = this.#started();
    try {
      await this.#follow(JSON.parse(kept), running);
    } catch {
      // It was of another visit, whose files are gone: nobody waits for it.
      this.#ended(running);
    }
  }

  /** Stops at once, at whatever point it is. */
  cancel() {
    const name = this.job?.job ?? JSON.parse(localStorage.getItem(KEPT) ?? "null")?.name;
    const running = this.#running;
    if (!running) return;
    this.#ended(running);
    // Its beginning may be on its way yet: then there is nothing to stop before that has arrived.
    if (name) stopped(name);
  }

  /** What is wrong stands where it can be set right, and beside the button where nobody knows where that is. */
  #tell(problem, controls) {
    this.notices.tell("clip", problem, spotOf(problem, controls) ?? { part: "clip", control: null });
  }

  #started() {
    const running = new AbortController();
    Object.assign(this, { job: null, share: 0 });
    this.notices.clear("clip");
    this.#running = running;
    this.dispatchEvent(new Event("change"));
    return running;
  }

  /** @param {{name: string, scene: Record<string, any>, controls?: number[]}} asked @param {AbortController} running */
  async #follow({ name, scene, controls = [] }, running) {
    const { signal } = running;
    let state = await render(name, scene, signal);
    while (!signal.aborted) {
      this.job = state;
      this.share = Math.max(this.share, shareOf(state));
      this.dispatchEvent(new Event("change"));
      if (OVER.includes(state.state)) break;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (signal.aborted) return;
      // A server that was started anew does not know the job: then it is begun there.
      state = await ask(name).catch(() => render(name, scene, signal));
    }
    if (signal.aborted) return;
    this.#ended(running);
    if (state.problem) this.#tell(new Problem(state.problem), controls);
    if (state.state === "done") this.dispatchEvent(new CustomEvent("done", { detail: state.result }));
  }

  #ended(running) {
    if (this.#running !== running) return;
    running.abort();
    this.#running = null;
    localStorage.removeItem(KEPT);
    this.dispatchEvent(new Event("change"));
  }
}

/** Asks to stop a job that may not have arrived yet. */
async function stopped(name) {
  for (let round = 0; round < 8; round += 1) {
    try {
      await cancel(name);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Where every stage lies in the whole job: from, to. Stages that a job has not are passed over. */
const STAGES = {
  "": [0, 0.02], reading: [0.02, 0.06], speech: [0.02, 0.08], faces: [0.04, 0.1], reference: [0.04, 0.12], densify: [0.1, 0.16],
  render: [0.16, 0.86], sample: [0.12, 0.8], decode: [0.8, 0.9], writing: [0.86, 1],
};

/** @param {import("../net/jobs.js").JobState} state */
function shareOf({ state, stage, done, total }) {
  if (state === "done") return 1;
  const [from, to] = STAGES[stage] ?? [0, 0];
  return state === "running" ? from + (total ? (to - from) * Math.min(1, done / total) : 0) : 0;
}
