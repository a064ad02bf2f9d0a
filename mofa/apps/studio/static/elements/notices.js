/** What is wrong with something, in a sentence below it. */

import { h } from "./dom.js";

/**
 * A field, with what is wrong with it below.
 * @param {import("../state/problems.js").Notices} notices
 * @param {string} part
 * @param {{element: HTMLElement, update: () => void}} field
 * @param {() => number | null} [control] whose field it is
 */
export function noticed(notices, part, field, control = () => null) {
  const { element, update } = noticeFor(notices, part, control);
  const box = h("div.noticed", {}, field.element, element);
  return {
    element: box,
    update() {
      field.update();
      update();
      box.dataset.wrong = String(Boolean(element.textContent));
      if (element.textContent) box.closest("details")?.setAttribute("open", "");
    },
  };
}

/**
 * The sentence alone.
 * @param {import("../state/problems.js").Notices} notices
 * @param {string} part
 * @param {() => number | null} [control]
 */
export function noticeFor(notices, part, control = () => null) {
  const element = h("p.notice", { role: "alert", "data-part": part });
  const update = () => {
    const text = notices.at(part, control());
    if (element.textContent !== text) element.textContent = text;
  };
  return { element, update };
}

/**
 * Whether a problem is said beside its own field, in sight.
 * @param {import("../state/problems.js").Spot} spot
 */
export function isShown({ part }) {
  const places = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`.notice[data-part="${part}"]:not(:empty)`));
  return [...places].some((place) => {
    const { bottom, top } = place.getBoundingClientRect();
    return place.checkVisibility({ visibilityProperty: true }) && top < innerHeight && bottom > 0;
  });
}
