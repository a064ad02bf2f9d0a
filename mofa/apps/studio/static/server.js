/** Questions to the server; answers as plain data, problems as an Error with a sentence for people. */

async function ask(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  return answerIn(await fetch(`studio/${path}`, { ...options, headers }));
}

async function answerIn(response) {
  const answer = await response.json().catch(() => ({}));
  if (response.ok && !answer.error) return answer;
  throw new Error(answer.error ?? `${response.status} ${response.statusText}`);
}

function asJson(content, method = "POST") {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
}

export const start = () => ask("start");
export const preview = (scene, signal) => ask("preview", { ...asJson({ scene }), signal });
export const facesIn = (picture) => ask("faces", asJson({ picture }));
export const landmarks = (scene, signal) => ask("landmarks", { ...asJson({ scene }), signal });
export const select = (picture, [x, y]) => ask("select", asJson({ picture, x, y }));
export const render = (scene) => ask("renders", asJson({ scene }));
export const missingWeights = (scene) => ask("weights", asJson({ scene }));
export const downloadWeights = (scene) => ask("weights/download", asJson({ scene }));
export const job = (name) => ask(`jobs/${name}`);
export const cancel = (name) => ask(`jobs/${name}`, { method: "DELETE" });
export const openScene = (name, picture) => ask("scenes/open", asJson({ name, picture }));
export const keepScene = (name, scene) => ask(`scenes/${name}`, asJson({ scene }, "PUT"));
export const namedScene = (name) => ask(`scenes/${encodeURIComponent(name)}`);

/** @returns {Promise<Blob>} */
export async function packScene(scene) {
  const question = asJson({ scene });
  question.headers.Accept = "application/zip, application/json";
  const response = await fetch("studio/scenes/pack", question);
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

export const photoAddress = (name) => `studio/photos/${name}`;
export const fileAddress = (name) => `studio/files/${name}`;
export const resultAddress = (result, file) => `studio/results/${result.name}/${result.files[file]}`;
export const downloadAddress = (result, form) => `studio/results/${result.name}/as/${form}`;
