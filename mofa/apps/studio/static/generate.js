/** The button that makes the clip: progress, time left, the place in the queue, and a cancel that stops. */

import { h, show } from "./dom.js";
import { icon } from "./icons.js";
import { followJob, inWords } from "./jobs.js";
import { toScene } from "./scene.js";
import { cancel, render } from "./server.js";
import { t } from "./texts.js";

/**
 * @param {import("./store.js").Store} store
 * @param {(result: any) => void} finished
 */
export function makeGenerate(store, finished) {
  let running = null;
  const button = h("button.primary", { type: "button", id: "generate", onclick: generate }, icon("spark"), t("generate"));
  const bar = h("div.bar-fill");
  const words = h("span.words", { role: "status" });
  const stop = h("button.secondary", { type: "button", id: "cancel", onclick: () => cancel(running.job) }, t("cancel"));
  const progress = h("div.progress", { hidden: true }, h("div.bar-track", {}, bar), words, stop);
  const message = h("p.message", { role: "alert" });
  const element = h("section.generate", {}, button, progress, message);

  async function generate() {
    message.textContent = "";
    show(button, false);
    show(progress, true);
    words.textContent = t("job.waiting");
    bar.style.width = "0";
    try {
      running = await render(await toScene(store.document));
      const end = await followJob(running, (state) => {
        words.textContent = inWords(state);
        bar.style.width = `${state.total ? (100 * state.done) / state.total : 0}%`;
      });
      if (end.state === "done") finished(end.result);
    } catch (problem) {
      message.textContent = problem.message;
    }
    running = null;
    show(button, true);
    show(progress, false);
  }

  const update = () => {
    const { picture, controls } = store.document;
    show(element, Boolean(picture));
    button.disabled = !controls.length;
    button.title = controls.length ? "" : t("generate.nothing");
  };
  store.subscribe((what) => what === "document" && update());
  update();
  return element;
}
