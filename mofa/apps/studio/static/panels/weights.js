/** The weights that the chosen renderer and speech drivers lack: what, how large, under which terms; and a button to fetch them. */

import { h, show } from "../elements/dom.js";
import { followJob } from "../net/jobs.js";
import { toScene } from "../state/scene.js";
import { downloadWeights, missingWeights } from "../net/server.js";
import { sentenceOf } from "../state/problems.js";
import { t } from "../state/texts.js";

/** @param {import("../state/store.js").Store} store */
export function makeWeights(store) {
  const list = h("ul");
  const state = h("p.note", { role: "status" });
  const wrong = h("p.notice", { role: "alert" });
  const button = h("button.secondary", { type: "button", onclick: fetchThem }, t("weights.download"));
  const element = h("div.weights", { hidden: true }, h("strong", {}, t("weights.missing")), list, button, state, wrong);
  /** @type {string | null} */
  let checked = null;

  /** The scene as it is; one without controls would be refused, and weights are known before something moves. */
  function asked() {
    const { controls } = store.document;
    return toScene({ ...store.document, controls: controls.length ? controls : STAND_IN });
  }

  async function check() {
    const missing = await missingWeights(await asked());
    list.replaceChildren(...missing.map((slot) => h("li", {},
      h("span", {}, `${slot.title}, ${t("weights.about", { size: slot.size })}`),
      h("a", { href: slot.url, target: "_blank", rel: "noreferrer", title: slot.terms }, slot.licence))));
    show(element, missing.length > 0);
  }

  async function fetchThem() {
    button.disabled = true;
    wrong.textContent = "";
    try {
      await followJob(await downloadWeights(await asked()), ({ done, total, stage }) => {
        state.textContent = total ? `${stage}: ${Math.floor((100 * done) / total)} %` : t("job.waiting");
      });
      await check();
    } catch (problem) {
      wrong.textContent = sentenceOf(problem);
    }
    state.textContent = "";
    button.disabled = false;
  }

  const update = () => {
    const { renderer, diffusion, controls } = store.document;
    const drivers = controls.flatMap((control) => (control.kind === "landmarks" && control.driver !== "signal" ? [control.driver] : []));
    const kinds = controls.map((control) => control.kind === "landmarks");
    const key = renderer === "diffusion" || drivers.length
      ? JSON.stringify([renderer, diffusion?.model, diffusion?.densifier, drivers, [...new Set(kinds)]]) : null;
    if (key === checked) return;
    checked = key;
    wrong.textContent = "";
    if (key === null) show(element, false);
    else check().catch((problem) => { wrong.textContent = sentenceOf(problem); });
  };
  return { element, update };
}

/** @type {import("../state/scene.js").Control[]} */
const STAND_IN = [{
  id: 0, colour: "#ffffff", kind: "camera", move: { panX: 0, panY: 0, zoom: 1, rotate: 0 }, strength: 1, start: 0, end: null, ease: "linear",
  thereAndBack: false, region: null,
}];
