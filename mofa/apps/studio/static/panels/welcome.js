/** The empty stage: a place to drop a photo, and the examples. */

import { h, show } from "../elements/dom.js";
import { noticeFor } from "../elements/notices.js";
import { icon } from "../elements/icons.js";
import { inLanguage, t } from "../state/texts.js";

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/problems.js").Notices} notices
 * @param {{name: string, title: {en: string, zh: string}}[]} examples
 * @param {{choose: () => void, example: (name: string) => void}} actions
 * @param {AbortSignal} signal ends it
 */
export function makeWelcome(store, notices, examples, { choose, example }, signal) {
  const cards = examples.map(({ name, title }) => h(
    "button.example", { type: "button", "data-example": name, onclick: () => example(name) },
    h("img", { src: `studio/examples/${name}.jpg`, alt: "", loading: "lazy" }), h("span", {}, inLanguage(title))));
  const wrong = noticeFor(notices, "drop");
  notices.addEventListener("change", wrong.update, { signal });
  wrong.update();
  const element = h("section.welcome", {},
    h("h1", {}, t("welcome.title")),
    h("button.drop", { type: "button", onclick: choose }, icon("photo"), h("strong", {}, t("welcome.drop")), h("span", {}, t("welcome.how"))),
    wrong.element,
    h("p", {}, t("welcome.examples")), h("div.examples", {}, cards));
  const update = () => {
    const left = store.document.picture && element.contains(document.activeElement);
    show(element, !store.document.picture);
    // Who came here by keys goes on with them on the photo.
    if (left) document.getElementById("canvas")?.focus({ preventScroll: true });
  };
  store.subscribe((what) => what === "document" && update());
  update();
  return element;
}
