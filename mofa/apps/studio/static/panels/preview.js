/** What the canvas knows about the preview: that it is on its way, and the flow for who wants to see it. */

import { h, show } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { t } from "../state/texts.js";

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/preview.js").Preview} preview
 * @param {AbortSignal} signal ends it
 */
export function makePreview(store, preview, signal) {
  const waiting = h("span.waiting", {}, h("span.spinner"), t("preview.coming"));
  const flow = h("button.quiet", {
    type: "button", title: t("preview.flow.help"), "aria-label": t("preview.flow"), "data-value": "flow",
    onclick: () => store.look({ flow: !store.view.flow }),
  }, icon("waves"));
  const element = h("div.preview", {}, waiting, flow);
  const update = () => {
    const { busy, sheet, seconds } = preview;
    show(waiting, busy);
    show(flow, Boolean(sheet));
    flow.setAttribute("aria-pressed", String(Boolean(store.view.flow)));
    element.dataset.state = busy ? "busy" : sheet ? "true" : "none";
    if (sheet && seconds) element.dataset.seconds = seconds.toFixed(2);
    else delete element.dataset.seconds;
  };
  preview.addEventListener("change", update, { signal });
  store.subscribe(update);
  update();
  return element;
}
