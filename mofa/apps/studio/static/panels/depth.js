/** The camera's depth picture: chosen, taken away again, and how much further it lets the near move. */

import { h, show } from "../elements/dom.js";
import { slider } from "../elements/fields.js";
import { t } from "../state/texts.js";

/**
 * @param {() => import("../state/scene.js").Camera} get
 * @param {(change: any, gesture?: any) => void} set
 * @param {(taken: (name: string) => void) => void} choose lets a person choose a picture, and uploads it
 * @returns {{element: HTMLElement, update: () => void}[]}
 */
export function depthFields(get, set, choose) {
  const text = h("span.note");
  const pick = h("button.text", { type: "button", "data-depth": "choose", onclick: () => choose((depth) => set({ depth })) });
  const remove = h("button.text", { type: "button", "data-depth": "remove", onclick: () => set({ depth: null }) }, t("camera.depth.remove"));
  const parallax = slider({
    text: t("camera.parallax"), help: t("camera.parallax.help"), min: 0, max: 4, step: 0.1, get: () => get().parallax ?? 1,
    set: (value, gesture) => set({ parallax: value }, gesture), say: (value) => `${value.toFixed(1)} ×`,
  });
  const chosen = {
    element: h("div.region", { title: t("camera.depth.help") }, h("span.label", {}, t("camera.depth")), text, pick, remove),
    update() {
      const there = Boolean(get().depth);
      text.textContent = t(there ? "camera.depth.there" : "camera.depth.none");
      pick.textContent = t(there ? "camera.depth.other" : "camera.depth.choose");
      show(remove, there);
      show(parallax.element, there);
    },
  };
  return [chosen, parallax];
}
