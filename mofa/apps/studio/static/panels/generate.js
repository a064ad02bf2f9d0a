/** The button that makes the clip: one bar for the whole job, the place in the queue, and a cancel that stops. */

import { h, show } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { inWords } from "../net/jobs.js";
import { glimpseOf } from "../net/server.js";
import { askedControls, sentenceOf } from "../state/problems.js";
import { moves } from "../state/preview.js";
import { toScene } from "../state/scene.js";
import { t } from "../state/texts.js";

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/rendering.js").Rendering} rendering
 * @param {import("../state/problems.js").Notices} notices
 * @param {AbortSignal} signal ends it
 */
export function makeGenerate(store, rendering, notices, signal) {
  const button = h(
    "button.primary", { type: "button", id: "generate", onclick: () => rendering.begin(() => toScene(store.document), askedControls(store.document)) },
    icon("spark"), t("generate"));
  const bar = h("div.bar-fill");
  const words = h("span.words", { role: "status" });
  const stop = h("button.secondary", { type: "button", id: "cancel", onclick: () => rendering.cancel() }, t("cancel"));
  const track = h("div.bar-track", { role: "progressbar", "aria-label": t("generate"), "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
  // A few frames of the clip while it is denoised, where the server has the weights for it.
  const glimpse = h("img.glimpse", { alt: t("generate.glimpse") });
  const progress = h("div.progress", {}, glimpse, track, words, stop);
  const message = h("p.notice", { role: "alert", "data-part": "clip" });
  const element = h("section.generate", {}, message, button, progress);

  const told = () => {
    const { active, job, share } = rendering;
    const byKeys = element.querySelector(":focus-visible");
    show(button, !active);
    show(progress, active);
    // Who goes by keys is left where the button was.
    if (byKeys && !byKeys.checkVisibility()) (active ? stop : button).focus();
    const seen = active && job?.state === "running" && job.shown > 0;
    show(glimpse, Boolean(seen));
    if (seen) glimpse.setAttribute("src", glimpseOf(job.job, job.shown));
    const percent = Math.round(100 * share);
    bar.style.width = `${percent}%`;
    track.setAttribute("aria-valuenow", String(percent));
    words.textContent = active && job ? inWords(job) : t("job.waiting");
  };
  const update = () => {
    show(element, Boolean(store.document.picture));
    button.disabled = !moves(store.document);
    button.title = button.disabled ? t("generate.nothing") : "";
  };
  rendering.addEventListener("change", told, { signal });
  store.subscribe((what) => {
    if (what === "document") update();
  });
  const wrong = () => {
    const told = notices.all.find(({ spot }) => spot.part === "clip");
    message.textContent = told ? sentenceOf(told.problem) : "";
  };
  notices.addEventListener("change", wrong, { signal });
  update();
  told();
  wrong();
  return element;
}
