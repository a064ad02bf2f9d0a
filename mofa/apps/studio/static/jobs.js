/** Jobs on the server, followed until they are over. */

import { job as ask } from "./server.js";
import { duration, t } from "./texts.js";

const PAUSE = 250;
const OVER = ["done", "failed", "cancelled"];

/**
 * @typedef {{job: string, state: string, ahead: number, stage: string, done: number, total: number,
 *   seconds_left: number | null, result: any}} JobState
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
  return state;
}

/** How far a job is, in words. */
export function inWords(state) {
  if (state.state === "waiting") {
    return state.ahead ? t("job.ahead", { count: state.ahead }) : t("job.waiting");
  }
  const stage = t(`stage.${state.stage || "begin"}`);
  return state.seconds_left === null ? stage : `${stage} · ${t("job.left", { time: duration(state.seconds_left) })}`;
}
