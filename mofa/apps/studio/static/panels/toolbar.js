/** The tools beside the canvas. */

import { h, show } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { TOOL_KEYS } from "../state/keys.js";
import { t } from "../state/texts.js";

const GROUPS = [["draw", "transform", "sway"], ["anchor", "still", "select"], ["brush", "erase", "pick"], ["camera", "face", "hand"]];

/** @param {import("../state/store.js").Store} store */
export function makeToolbar(store) {
  const buttons = new Map();
  const button = (tool) => {
    const title = `${t(`tool.${tool}.help`)} (${TOOL_KEYS[tool]})`;
    const element = h(
      "button.tool", { type: "button", title, "aria-label": t(`tool.${tool}`), "data-tool": tool, onclick: () => store.look({ tool }) },
      icon(tool), h("span.name", {}, t(`tool.${tool}`)),
    );
    buttons.set(tool, element);
    return element;
  };
  const size = h("input", {
    type: "range", min: "4", max: "200", "aria-label": t("brush.size"),
    oninput: () => store.look({ brush: Number(size.value) }),
  });
  const typed = h("input", {
    type: "number", min: "4", max: "200", "aria-label": `${t("brush.size")} (px)`,
    onchange: () => store.look({ brush: Math.min(200, Math.max(4, Math.round(Number(typed.value)) || store.view.brush)) }),
  });
  const brush = h("div.brush-size", { title: `${t("brush.size")} ([ ])` }, h("span", {}, t("brush.size")), typed, size);
  const element = h(
    "nav.tools", { "aria-label": t("tools") }, GROUPS.map((group) => h("div.group", {}, group.map(button))), brush);
  const update = () => {
    for (const [tool, one] of buttons) one.setAttribute("aria-pressed", String(tool === store.view.tool));
    show(brush, ["brush", "erase", "still"].includes(store.view.tool));
    size.value = typed.value = String(store.view.brush);
  };
  store.subscribe(update);
  update();
  return element;
}
