/**
 * Questions to the server; answers as plain data, problems as a `Problem`. A question that
 * gets through to nobody is asked again until it does: all of them may be asked twice.
 */

import { Problem } from "../state/problems.js";
import { pending } from "../state/pending.js";
import { connection } from "./connection.js";

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 3000;
/** What a proxy says while the server behind it is away, and a server that is being ended. */
const AWAY = [500, 502, 503, 504];
/** A server that goes on saying so has a fault, which is told. */
const MOST_TRIES = 6;

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
const ask = (path, options) => pending(answered(path, options));

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function answered(path, options = {}) {
  const headers = { Accept: "application/json", .../** @type {Record<string, string>} */ (options.headers) };
  return answerIn(await reached(`studio/${path}`, { ...options, headers }));
}

/** @param {string} address @param {RequestInit} options */
async function reached(address, options) {
  for (let [pause, tries] = [FIRST_PAUSE, 1]; ; pause = Math.min(LONGEST_PAUSE, 1.6 * pause), tries += 1) {
    try {
      const response = await fetch(address, options);
      if (!AWAY.includes(response.status) || tries > MOST_TRIES) {
        connection.tell(true);
        return response;
      }
    } catch (problem) {
      if (options.signal?.aborted) throw problem;
    }
    connection.tell(false);
    await connection.pause(pause);
    options.signal?.throwIfAborted();
  }
}

/** @param {Response} response */
async function answerIn(response) {
  const answer = await response.json().catch(() => ({}));
  if (response.ok && !answer.error) return answer;
  throw new Problem({ error: `${response.status} ${response.statusText}`, key: "internal", ...answer });
}

/** @returns {{method: string, headers: Record<string, string>, body: string}} */
function asJson(content, method = "POST") {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
}

export const start = () => ask("start");
export const preview = (scene, signal) => ask("preview", { ...asJson({ scene }), signal });
export const facesIn = (picture) => ask("faces", asJson({ picture }));
export const landmarks = (scene, signal) => ask("landmarks", { ...asJson({ scene }), signal });
/**
 * `near`: a thing that its point just misses is meant, too; `select` says which it is.
 * @returns {Promise<{select: string, mask: string, share: number, thing: boolean}>}
 */
export const thingIn = (picture, select, near) => ask("things", asJson({ picture, select, near }));
export const render = (name, scene, signal) => ask(`renders/${name}`, { ...asJson({ scene }, "PUT"), signal });
export const missingWeights = (scene) => ask("weights", asJson({ scene }));
export const downloadWeights = (scene) => ask("weights/download", asJson({ scene }));
/** Asked again and again while a clip is made, so that it is nothing to wait for. */
export const job = (name) => answered(`jobs/${name}`);
/** Where the picture of a running job lies; `shown` counts them, so that a new one has an address of its own. */
export const glimpseOf = (name, shown) => `studio/jobs/${name}/preview?${shown}`;
export const cancel = (name) => ask(`jobs/${name}`, { method: "DELETE" });
export const openScene = (name, picture) => ask("scenes/open", asJson({ name, picture }));
/** Characters that browsers are sure to send while a page is being left. */
const LEAVES_WITH = 60_000;

/** Keeps the document; the browser finishes it when the page is left meanwhile. */
export function keepDocument(name, document, signal) {
  const question = asJson({ document }, "PUT");
  return ask(`scenes/${name}`, { ...question, keepalive: question.body.length < LEAVES_WITH, signal });
}
export const namedScene = (name) => ask(`scenes/${encodeURIComponent(name)}`);

/** @returns {Promise<Blob>} */
export async function packScene(scene) {
  const question = asJson({ scene });
  question.headers.Accept = "application/zip, application/json";
  const response = await reached("studio/scenes/pack", question);
  return response.headers.get("Content-Type") === "application/zip" ? response.blob() : answerIn(response);
}

/**
 * @param {string} kind "photo", "mask", "video", "speech", "tracks", "landmarks", "scene"
 * @param {Blob} content
 * @param {string} name its suffix says what it is
 * @returns {Promise<{name: string, width?: number, height?: number}>}
 */
export const upload = (kind, content, name) =>
  ask(`files/${kind}?name=${encodeURIComponent(name)}`, { method: "POST", body: content });

export const nameClip = (name, title) => ask(`clips/${name}`, { ...asJson({ title }, "PUT"), keepalive: true });
/** @returns {Promise<{token: string}>} */
export const shareClip = (name) => ask(`clips/${name}/share`, { method: "POST" });
export const deleteClip = (name) => ask(`clips/${name}`, { method: "DELETE", keepalive: true });

export const photoAddress = (name) => `studio/photos/${name}`;
export const soundAddress = (name) => `studio/sounds/${name}`;
export const fileAddress = (name) => `studio/files/${name}`;
export const resultAddress = (result, file) => `studio/results/${result.name}/${result.files[file]}`;
/** The clip's motion as another tool reads it. @returns {Promise<{content: Blob, name: string}>} */
export async function exported(result, form) {
  const response = await pending(reached(`studio/clips/${result.name}/for/${form}`, { headers: { Accept: "application/json" } }));
  const named = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "");
  return named ? { content: await response.blob(), name: named[1] } : answerIn(response);
}
export const downloadAddress = (result, form) => `studio/results/${result.name}/as/${form}`;
