/** Beside the selected line: what it moves, in a word each; beside one whose points are being clicked: that it is done. */

import { h, show } from "../elements/dom.js";
import { wholeMask } from "../canvas/masks.js";
import { isAnchor } from "../state/scene.js";
import { selectionAt } from "../state/selection.js";
import { t } from "../state/texts.js";

/** How far from the end of its line the row is, in screen pixels. */
const ASIDE = 18;

/** Tools with which a line is drawn or changed; for others the chips would lie over what they are for. */
const AT_LINES = ["draw", "select", "pick"];

/**
 * @param {import("../main.js").Services} services
 * @param {() => void} finish ends the line whose points are being clicked
 * @param {AbortSignal} signal ends it
 */
export function makeChips({ store, things, viewport, player }, finish, signal) {
  const chip = (name, choose) => h("button.chip", { type: "button", "data-chip": name, title: t(`chip.${name}.help`), onclick: choose }, t(`chip.${name}`));
  const set = (region) => store.editControl(store.view.selected, { region });
  const start = () => /** @type {[number, number]} */ (/** @type {any} */ (store.selected).points[0]);
  const thing = chip("thing", () => {
    const { picture } = store.document;
    const found = picture && things.at(picture, start());
    set({ select: found && typeof found === "object" ? found.select : selectionAt(start()) });
  });
  const part = chip("part", () => set({ select: selectionAt(start(), "part") }));
  const around = chip("around", () => set(null));
  const everything = chip("everything", () => set({ mask: wholeMask(store.document.picture) }));
  const done = chip("done", finish);
  const looking = h("span.spinner");
  const chips = { thing, part, around, everything };
  const element = h("div.chips", { role: "group", "aria-label": t("region") }, looking, Object.values(chips), done);

  const chosenOf = ({ region }) => {
    if (!region) return "around";
    if ("select" in region) return region.select.endsWith(":part") ? "part" : "thing";
    return region.mask === wholeMask(store.document.picture) ? "everything" : "painted";
  };
  const place = () => {
    const control = store.selected;
    const points = store.view.drafting ?? (control?.kind === "track" ? control.points : null);
    if (!points) return;
    const places = points.map((point) => viewport.toScreen(point));
    const lowest = places.reduce((low, one) => (one[1] > low[1] ? one : low));
    const { offsetWidth, offsetHeight } = element;
    const held = (value, most) => Math.min(Math.max(8, value), Math.max(8, most - 8));
    element.style.left = `${held(lowest[0] - offsetWidth / 2, viewport.width - offsetWidth)}px`;
    element.style.top = `${held(lowest[1] + ASIDE, viewport.height - offsetHeight)}px`;
  };
  const update = () => {
    const control = store.selected;
    const { picture, region } = store.document;
    const { drawing, drafting, tool } = store.view;
    const clicked = Boolean(drafting && drafting.length > 1);
    const suits = Boolean(control && control.kind === "track" && !isAnchor(control) && picture && !region);
    show(element, !drawing && AT_LINES.includes(tool) && (clicked || (suits && !drafting)));
    show(done, clicked);
    for (const one of Object.values(chips)) show(one, !clicked);
    if (clicked) {
      show(looking, false);
      place();
    }
    if (element.hidden || clicked || !control || !picture || control.kind !== "track") return;
    const chosen = chosenOf(control);
    for (const [name, one] of Object.entries(chips)) one.setAttribute("aria-pressed", String(name === chosen));
    show(looking, things.at(picture, control.points[0]) === "looking");
    place();
  };
  store.subscribe(update);
  things.addEventListener("change", update, { signal });
  player.addEventListener("state", update, { signal });
  update();
  return { element, place };
}
