/** The weights that the chosen renderer lacks: what, how large, under which terms; and a button to fetch them. */

import { h, show } from "./dom.js";
import { followJob } from "./jobs.js";
import { toScene } from "./scene.js";
import { downloadWeights, missingWeights } from "./server.js";
import { t } from "./texts.js";

/** @param {import("./store.js").Store} store */
export function makeWeights(store) {
  const list = h("ul");
  const state = h("p.note");
  const button = h("button.secondary", { type: "button", onclick: fetchThem }, t("weights.download"));
  const element = h("div.weights", { hidden: true }, h("strong", {}, t("weights.missing")), list, button, state);
  let asked = null;

  async function check() {
    const missing = await missingWeights(await toScene({ ...store.document, controls: STAND_IN }));
    list.replaceChildren(...missing.map((slot) => h("li", {},
      h("span", {}, `${slot.title}, ${t("weights.about", { size: slot.size })}`),
      h("a", { href: slot.url, target: "_blank", rel: "noreferrer", title: slot.terms }, slot.licence))));
    show(element, missing.length > 0);
  }

  async function fetchThem() {
    button.disabled = true;
    try {
      const scene = await toScene({ ...store.document, controls: STAND_IN });
      await followJob(await downloadWeights(scene), ({ done, total, stage }) => {
        state.textContent = total ? `${stage}: ${Math.floor((100 * done) / total)} %` : t("job.waiting");
      });
      state.textContent = "";
      await check();
    } catch (problem) {
      state.textContent = problem.message;
    }
    button.disabled = false;
  }

  const update = () => {
    const { renderer, diffusion, picture } = store.document;
    const key = picture && renderer === "diffusion" ? `${diffusion?.model} ${diffusion?.densifier}` : null;
    if (key === asked) return;
    asked = key;
    if (key === null) show(element, false);
    else check().catch((problem) => { state.textContent = problem.message; });
  };
  return { element, update };
}

/** What is asked is about the renderer; a scene without controls would be refused. */
const STAND_IN = [{
  kind: "camera", move: { panX: 0, panY: 0, zoom: 1, rotate: 0 }, strength: 1, start: 0, end: null, ease: "linear",
  thereAndBack: false, region: null,
}];
