/** The instant preview: after each change the server warps a small clip and paints the flow. */

import { debounced, h, show } from "./dom.js";
import { segments } from "./fields.js";
import { toScene } from "./scene.js";
import { preview } from "./server.js";
import { t } from "./texts.js";

const PAUSE = 250;
const MATTERS = ["frames", "fps", "fit", "loop", "region", "controls", "picture", "size"];

/** @param {import("./store.js").Store} store */
export function makePreview(store) {
  let shown = "clip";
  let asking = null;
  let before = null;
  let wanted = false;
  const clip = h("video", { muted: true, loop: true, autoplay: true, playsInline: true, "data-state": "empty" });
  const flow = h("img", { alt: t("preview.flow") });
  const message = h("p.note");
  const tabs = segments({
    text: t("preview"), choices: [["clip", t("preview.clip")], ["flow", t("preview.flow")]], get: () => shown,
    set: (value) => {
      shown = value;
      update();
    },
  });
  const frame = h("div.screen", {}, clip, flow, h("div.spinner"));
  const element = h("section.card.preview", { "aria-label": t("preview") }, tabs.element, frame, message);

  const update = () => {
    tabs.update();
    show(clip, shown === "clip" && Boolean(clip.src));
    show(flow, shown === "flow" && Boolean(flow.src));
  };

  const ask = debounced(async () => {
    // A hand that draws needs the machine for itself; the preview comes when it rests.
    if (store.view.drawing || !wanted) return;
    asking?.abort();
    if (!store.document.picture || !store.document.controls.length) return;
    wanted = false;
    asking = new AbortController();
    const { signal } = asking;
    const began = performance.now();
    element.dataset.busy = "true";
    try {
      const made = await preview(await toScene(store.document), signal);
      if (signal.aborted || made.cancelled) return;
      clip.src = made.clip;
      flow.src = made.flow;
      message.textContent = "";
      element.dataset.seconds = ((performance.now() - began) / 1000).toFixed(2);
    } catch (problem) {
      if (signal.aborted) return;
      message.textContent = problem.message;
    }
    asking = null;
    delete element.dataset.busy;
    update();
  }, PAUSE);

  const changed = () => {
    const now = store.document;
    const { picture, controls } = now;
    show(element, Boolean(picture) && controls.length > 0);
    if (before?.picture !== picture || !controls.length) {
      clip.removeAttribute("src");
      flow.removeAttribute("src");
      message.textContent = "";
    }
    if (!before || MATTERS.some((key) => before[key] !== now[key])) {
      wanted = true;
      ask();
    }
    before = now;
    update();
  };
  const handMoved = () => {
    if (store.view.drawing && asking) {
      asking.abort();
      wanted = true;
    } else if (!store.view.drawing && wanted) ask();
  };
  store.subscribe((what) => (what === "document" ? changed() : handMoved()));
  changed();
  return element;
}
