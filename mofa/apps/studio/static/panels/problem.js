/** On the canvas: what is wrong with a line, beside it; what is wrong with the photo, above it. */

import { h, show } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { isShown } from "../elements/notices.js";
import { nameOf } from "../state/names.js";
import { sentenceOf } from "../state/problems.js";
import { t } from "../state/texts.js";

/** How far from what it is about, in screen pixels. */
const ASIDE = 22;
/** Parts of the page that say their problems themselves, whether they are in sight or not. */
const ELSEWHERE = ["drop", "clip", "result"];

/**
 * @param {import("../main.js").Services} services
 * @param {AbortSignal} signal ends it
 */
export function makeProblem({ store, notices, viewport }, signal) {
  const words = h("span");
  const close = h("button.quiet", { type: "button", "aria-label": t("close"), onclick: () => notices.clear() }, icon("close"));
  const element = h("div.problem", { role: "alert", hidden: true }, words, close);
  /** @type {number | null} */
  let about = null;

  /** Beside the line it is about, or above the photo. */
  const place = () => {
    if (element.hidden) return;
    const control = store.document.controls.find(({ id }) => id === about);
    const at = control?.kind === "track" ? viewport.toScreen(control.points[0]) : null;
    const { offsetWidth, offsetHeight } = element;
    const held = (value, most) => Math.min(Math.max(8, value), Math.max(8, most - 8));
    const [left, top] = at ? [at[0] - offsetWidth / 2, at[1] - offsetHeight - ASIDE] : [(viewport.width - offsetWidth) / 2, 12];
    element.style.left = `${held(left, viewport.width - offsetWidth)}px`;
    element.style.top = `${held(top, viewport.height - offsetHeight)}px`;
  };
  const update = () => {
    const told = notices.all.find(({ spot }) => !ELSEWHERE.includes(spot.part) && !isShown(spot));
    show(element, Boolean(told));
    if (!told) return;
    const control = store.document.controls.find(({ id }) => id === told.spot.control);
    about = control?.id ?? null;
    // A line has it beside itself; what has no place of its own on the photo is named.
    words.textContent = control && control.kind !== "track" ? `${nameOf(control, store.document)}: ${sentenceOf(told.problem)}` : sentenceOf(told.problem);
    place();
  };
  // The panel says first what it says itself.
  const soon = () => queueMicrotask(update);
  notices.addEventListener("change", soon, { signal });
  store.subscribe(soon);
  soon();
  return { element, place };
}
