/** Everything about the selected control: colour, easing, strength, where it may move; or the whole scene's region. */

import { COLOURS, isAnchor } from "./scene.js";
import { h } from "./dom.js";
import { makeEasing } from "./easing.js";
import { faceFields } from "./face_card.js";
import { number, slider, toggle } from "./fields.js";
import { icon } from "./icons.js";
import { nameOf } from "./names.js";
import { setRegion } from "./region_tools.js";
import { deleteSelected, duplicateSelected, reorderSelected } from "./shape_tools.js";
import { t } from "./texts.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./stage.js").Stage} stage
 */
export function makeInspector(store, stage) {
  const element = h("section.card.inspector");
  let shownFor = undefined;
  let parts = [];

  const update = () => {
    const control = store.selected;
    const key = control ? `${control.id} ${control.kind} ${isAnchor(control)}` : null;
    if (key !== shownFor) {
      shownFor = key;
      parts = control ? partsOf(store, stage) : [region(store)];
      element.replaceChildren(...parts.map((part) => part.element));
    }
    for (const part of parts) part.update();
    element.hidden = !control && !store.document.region;
  };
  store.subscribe(update);
  update();
  return element;
}

function partsOf(store, stage) {
  const control = store.selected;
  const get = () => store.selected ?? control;
  const set = (change, gesture) => store.editControl(control.id, change, gesture);
  const title = heading(store, stage);
  if (isAnchor(control)) return [title, note(t("inspector.anchor")), colours(get, set), region(store)];
  const strength = slider({
    text: t("strength"), help: t("strength.help"), min: -2, max: 2, step: 0.05, get: () => get().strength,
    set: (value, gesture) => set({ strength: value }, gesture), say: (value) => `${value.toFixed(2)} ×`,
  });
  if (control.kind === "landmarks") return [title, colours(get, set), ...faceFields(get, set), region(store)];
  const timed = [
    makeEasing(get, set),
    toggle({
      text: t("there_and_back"), help: t("there_and_back.help"), get: () => get().thereAndBack,
      set: (thereAndBack) => set({ thereAndBack }),
    }),
    strength,
  ];
  if (control.kind === "camera") return [title, cameraNumbers(get, set), ...timed];
  return [title, colours(get, set), ...timed, region(store)];
}

function heading(store, stage) {
  const name = h("h2");
  const tool = (key, picture, action) => h(
    "button.quiet", { type: "button", title: t(key), "aria-label": t(key), onclick: action }, icon(picture));
  const element = h("header", {}, name,
    tool("move.up", "up", () => reorderSelected(store, -1)),
    tool("move.down", "down", () => reorderSelected(store, 1)),
    tool("duplicate", "copy", () => duplicateSelected(stage)),
    tool("delete", "trash", () => {
      store.look({ point: null });
      deleteSelected(store);
    }));
  return { element, update: () => { if (store.selected) name.textContent = nameOf(store.selected, store.document); } };
}

const note = (text) => ({ element: h("p.note", {}, text), update() {} });

function colours(get, set) {
  const buttons = COLOURS.map((colour) => {
    const button = h("button.colour", {
      type: "button", "aria-label": `${t("colour")} ${colour}`, onclick: () => set({ colour }),
    });
    button.style.setProperty("--colour", colour);
    return button;
  });
  const update = () => buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(COLOURS[k] === get().colour)));
  return { element: h("div.colours", { role: "group", "aria-label": t("colour") }, buttons), update };
}

function cameraNumbers(get, set) {
  const amount = (key, field, step) => number({
    text: t(key), step, get: () => Math.round(get().move[field] * 100) / 100,
    set: (value) => set({ move: { ...get().move, [field]: field === "zoom" ? Math.min(8, Math.max(0.3, value)) : value } }),
  });
  const fields = [
    amount("camera.pan_x", "panX", 1), amount("camera.pan_y", "panY", 1), amount("camera.zoom", "zoom", 0.05),
    amount("camera.rotate", "rotate", 1),
  ];
  return {
    element: h("div.quads", {}, fields.map((field) => field.element)),
    update: () => fields.forEach((field) => field.update()),
  };
}

function region(store) {
  const text = h("span.note");
  const clear = h("button.text", { type: "button", onclick: () => setRegion(store, null) }, t("region.clear"));
  const element = h("div.region", {}, h("span.label", {}, t("region")), text, clear);
  const update = () => {
    const own = store.selected ? store.selected.region : store.document.region;
    text.textContent = t(own ? (own.mask ? "region.painted" : "region.selected") : "region.none");
    clear.hidden = !own;
  };
  return { element, update };
}
