/** One line below the photo: what the tool in hand does, until it has been used. */

import { h, write } from "../elements/dom.js";
import { t } from "../state/texts.js";

const KEPT = "mofa-tools-known";

/** @param {import("../state/store.js").Store} store */
export function makeTip(store) {
  const element = h("p.tip", { role: "note" });
  const known = new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
  let { document, view } = store;
  const update = () => {
    const { tool, drafting, drawing } = store.view;
    // A tool that has changed something with the photo it lies on is known from then on.
    if (store.document !== document && store.document.picture === document.picture && store.view.tool === view.tool) {
      known.add(tool);
      localStorage.setItem(KEPT, JSON.stringify([...known]));
    }
    ({ document, view } = store);
    const key = drafting && !drawing ? "tip.drafting" : known.has(tool) ? null : `tool.${tool}.help`;
    write(element, store.document.picture && key ? t(key) : "");
  };
  store.subscribe(update);
  update();
  return element;
}
