/** Links to a clip: to look at it, and to open its scene elsewhere. */

import { h } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { shareClip } from "../net/server.js";
import { t } from "../state/texts.js";

/** @param {{name: string}} result */
export function makeShare(result) {
  const links = h("div.links");
  /** A link to be copied; where a page may not write to the clipboard, it is selected. */
  const link = (key, address) => {
    const field = h("input", { type: "text", readOnly: true, value: address, "aria-label": t(key), onfocus: () => field.select() });
    const copy = h("button.button", { type: "button", "data-link": key, onclick: async () => {
      field.select();
      await navigator.clipboard?.writeText(address);
      copy.textContent = t("share.copied");
    } }, t("share.copy"));
    return h("div.field", {}, h("span.label", {}, t(key)), h("div.link", {}, field, copy));
  };
  const opened = async () => {
    if (!element.open || links.childElementCount) return;
    const { token } = await shareClip(result.name);
    const here = location.href.replace(/[?#].*/, "");
    links.replaceChildren(
      link("share.scene", `${here}?scene=shared-${token}`), link("share.clip", `${here}studio/shared/${token}.mp4`), h("p.note", {}, t("share.note")));
  };
  const element = h("details.menu.share", { ontoggle: opened }, h("summary.button", {}, icon("link"), t("share")), links);
  return element;
}
