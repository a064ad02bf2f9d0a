/** Three short hints on the canvas at the first visit; each goes when it has been followed. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

const KEPT = "mofa-hints-seen";

const HINTS = [
  { key: "hint.draw", done: ({ document }) => document.controls.length > 0 },
  { key: "hint.anchor", done: ({ document }) => document.controls.length > 1 },
  { key: "hint.generate", done: () => false },
];

/** @param {import("./store.js").Store} store */
export function makeHints(store) {
  const element = h("div.hint", { role: "note", hidden: true });
  let at = localStorage.getItem(KEPT) ? HINTS.length : 0;

  const finish = () => {
    at = HINTS.length;
    localStorage.setItem(KEPT, "yes");
    update();
  };
  const next = () => {
    at += 1;
    if (at >= HINTS.length) finish();
    else update();
  };
  const update = () => {
    if (at < HINTS.length && HINTS[at].done(store)) at += 1;
    element.hidden = at >= HINTS.length || !store.document.picture;
    if (element.hidden) return;
    element.replaceChildren(
      h("span.count", {}, `${at + 1}/${HINTS.length}`), h("span", {}, t(HINTS[at].key)),
      h("button.quiet", { type: "button", "aria-label": t("hint.next"), title: t("hint.next"), onclick: next }, icon("close")));
  };
  store.subscribe((what) => what === "document" && update());
  update();
  return { element, finish, again: () => { at = 0; localStorage.removeItem(KEPT); update(); } };
}
