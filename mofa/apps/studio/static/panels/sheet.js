/** The sheet of shortcuts. */

import { h } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { TOOL_KEYS } from "../state/keys.js";
import { t } from "../state/texts.js";

/** Group -> rows: the keys, and the text that says what they do. */
const GROUPS = /** @type {const} */ ([
  ["sheet.tools", Object.entries(TOOL_KEYS).map(([tool, key]) => [key, `tool.${tool}`])],
  ["sheet.line", [
    ["Enter", "sheet.finish"], ["Esc", "sheet.drop"], ["Shift", "sheet.straight"], ["Alt", "sheet.through"], ["Del", "sheet.delete"],
    [", .", "sheet.points"], ["Ctrl D", "sheet.duplicate"], ["Ctrl C / V", "sheet.copy"], ["← ↑ → ↓", "sheet.nudge"],
  ]],
  ["sheet.clip", [
    ["Space", "sheet.play"], ["Ctrl Enter", "generate"], ["Ctrl Z", "sheet.undo"], ["Ctrl ⇧ Z", "sheet.redo"], ["Ctrl A", "sheet.all"], ["Page ↑ ↓", "sheet.next"],
    ["Alt ↑ ↓", "sheet.order"], ["[ ]", "sheet.brush"], ["+ − 0", "sheet.zoom"], ["?", "sheet.this"],
  ]],
]);

export function makeSheet() {
  const rows = (pairs) => pairs.map(([keys, text]) => h("div.shortcut", {}, h("kbd", {}, keys), h("span", {}, t(text))));
  const dialog = h("dialog.sheet", { "aria-label": t("sheet") },
    h("header", {}, h("h2", {}, t("sheet")),
      h("button.quiet", { type: "button", "aria-label": t("close"), onclick: () => dialog.close() }, icon("close"))),
    h("div.groups", {}, GROUPS.map(([title, pairs]) => h("section", {}, h("h3", {}, t(title)), rows(pairs)))));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return { element: dialog, open: () => dialog.showModal() };
}
