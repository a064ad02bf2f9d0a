/** Jobs on the server, followed until they are over. */

import { job as ask } from "./server.js";
import { Problem } from "../state/problems.js";
import { duration, t } from "../state/texts.js";

const PAUSE = 250;
const OVER = ["done", "failed", "cancelled"];

/**
 * @typedef {{job: string, state: string, ahead: number, stage: string, done: number, total: number,
 *   seconds_left: number | null, shown: number, result: any, problem: import("../state/problems.js").Told | null}} JobState
 * @param {JobState} job
 * @param {(state: JobState) => void} report
 * @returns {Promise<JobState>} how it ended; one that failed throws its reason
 */
export async function followJob(job, report) {
  let state = job;
  while (!OVER.includes(state.state)) {
    report(state);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    state = await ask(job.job);
  }
  if (state.problem) throw new Problem(state.problem);
  return state;
}

/** Stages whose pace says how long the job will take; the others are short. */
const STEADY = ["render", "sample"];
/** Below so many seconds nobody needs to be told, and a pace so young says nothing. */
const SHORT = 8;

/**
 * How far a job is, in words. The time left is said only where it can be relied upon.
 * @param {JobState} state
 */
export function inWords(state) {
  if (state.state === "waiting") {
    return state.ahead ? t("job.ahead", { count: state.ahead }) : t("job.waiting");
  }
  const stage = t(`stage.${state.stage || "begin"}`);
  const left = STEADY.includes(state.stage) && state.done >= 4 ? state.seconds_left ?? 0 : 0;
  return left > SHORT ? `${stage} · ${t("job.left", { time: duration(left) })}` : stage;
}
