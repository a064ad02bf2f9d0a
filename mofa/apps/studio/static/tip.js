/** One line below the canvas: what the tool in hand does. */

import { h } from "./dom.js";
import { t } from "./texts.js";

/** @param {import("./store.js").Store} store */
export function makeTip(store) {
  const element = h("p.tip");
  const update = () => {
    const { tool, drafting, drawing } = store.view;
    const key = drafting && !drawing ? "tip.drafting" : `tool.${tool}.help`;
    element.textContent = store.document.picture ? t(key) : "";
  };
  store.subscribe(update);
  update();
  return element;
}
