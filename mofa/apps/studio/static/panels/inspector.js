/** Everything about the selected control: colour, easing, strength, where it may move; or the whole scene's region. */

import { COLOURS, isAnchor, isBorder } from "../state/scene.js";
import { h, write } from "../elements/dom.js";
import { poseAt, withPose } from "../canvas/pose.js";
import { editedAt } from "../canvas/thing_tools.js";
import { depthFields } from "./depth.js";
import { makeEasing } from "./easing.js";
import { faceFields } from "./face_card.js";
import { noticed } from "../elements/notices.js";
import { number, segments, slider, toggle } from "../elements/fields.js";
import { icon } from "../elements/icons.js";
import { nameOf } from "../state/names.js";
import { lengthOf } from "../canvas/curve.js";
import { setRegion } from "../canvas/region_tools.js";
import { deleteSelected, duplicateSelected, reorderSelected, SHAPES, shapeSelected } from "../canvas/shape_tools.js";
import { t } from "../state/texts.js";

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../canvas/stage.js").Stage} stage
 * @param {import("../state/problems.js").Notices} notices
 * @param {(taken: (name: string) => void) => void} choosePicture
 */
export function makeInspector(store, stage, notices, choosePicture) {
  const element = h("section.card.inspector");
  /** @type {string | null | undefined} */
  let shownFor = undefined;
  /** @type {{element: HTMLElement, update: () => void}[]} */
  let parts = [];

  const update = () => {
    const control = store.selected;
    const key = control ? `${control.id} ${control.kind} ${isAnchor(control)} ${isBorder(control)}` : null;
    if (key !== shownFor) {
      shownFor = key;
      parts = control ? partsOf(store, stage, notices, choosePicture) : [noticed(notices, "region", region(store))];
      element.replaceChildren(...parts.map((part) => part.element));
    }
    for (const part of parts) part.update();
    element.hidden = !control && !store.document.region;
  };
  store.subscribe(update);
  notices.addEventListener("change", update, { signal: stage.signal });
  // The pose of a thing is another at every frame.
  stage.player.addEventListener("frame", () => !stage.player.playing && store.selected?.kind === "transform" && update(), { signal: stage.signal });
  update();
  return element;
}

function partsOf(store, stage, notices, choosePicture) {
  const control = store.selected;
  const get = () => store.selected ?? control;
  const set = (change, gesture) => store.editControl(control.id, change, gesture);
  const with_ = (part, field) => noticed(notices, part, field, () => control.id);
  const title = with_("line", heading(store, stage));
  const where = with_("region", region(store));
  if (isAnchor(control)) return [title, note(t("inspector.anchor")), colours(get, set), where];
  const strength = slider({
    text: t("strength"), help: t("strength.help"), min: -2, max: 2, step: 0.05, get: () => get().strength,
    set: (value, gesture) => set({ strength: value }, gesture), say: (value) => `${value.toFixed(2)} ×`,
  });
  if (isBorder(control)) return [title, note(t("inspector.border")), borderWidth(get, set), colours(get, set)];
  if (control.kind === "still") return [title, note(t("inspector.still")), where, colours(get, set)];
  if (control.kind === "sway") return [title, where, ...swayFields(get, set), colours(get, set)];
  // In the order of need: what may move, when, how, and then its looks.
  if (control.kind === "landmarks") return [title, with_("face", group(faceFields(get, set))), where, colours(get, set)];
  const timed = [
    with_("when", timing(store, get, set)),
    makeEasing(get, set),
    toggle({
      text: t("there_and_back"), help: t("there_and_back.help"), get: () => get().thereAndBack,
      set: (thereAndBack) => set({ thereAndBack }),
    }),
    strength,
  ];
  if (control.kind === "transform") return [title, where, with_("pose", poseNumbers(store, stage, get, set)), ...timed, colours(get, set)];
  if (control.kind === "camera") return [title, cameraPresets(store, get, set), cameraNumbers(get, set), with_("depth", group(depthFields(get, set, choosePicture))), ...timed];
  const [when, ...how] = timed;
  const along = control.kind === "track" ? [when, pace(store, get, set), ...how, shapes(store)] : timed;
  return [title, where, ...along, colours(get, set)];
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
  return { element, update: () => { if (store.selected) write(name, nameOf(store.selected, store.document)); } };
}

/** Fields that a problem may be about together. */
const group = (fields) => ({
  element: h("div.fields", {}, fields.map((field) => field.element)), update: () => fields.forEach((field) => field.update()),
});

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

const borderWidth = (get, set) => slider({
  text: t("border.width"), min: 1, max: 20, step: 1, get: () => get().region.border ?? 0, set: (border, gesture) => set({ region: { border } }, gesture),
  say: (value) => `${value} %`,
});

/** The pose at the moment that is edited; that moment stays where it is while somebody types. */
function poseNumbers(store, stage, get, set) {
  const at = () => editedAt(get(), stage.player.frame, store.document.frames);
  const amount = (field, step) => number({
    text: t(`pose.${field}`), step, get: () => Math.round(100 * poseAt(get().keys, at())[field]) / 100,
    set: (value) => set({ keys: withPose(get().keys, at(), { ...poseAt(get().keys, at()), [field]: field === "scale" ? Math.min(20, Math.max(0.05, value)) : value }) }),
  });
  const fields = [amount("x", 1), amount("y", 1), amount("rotate", 1), amount("scale", 0.05)];
  const { player } = stage;
  const stays = () => (player.byItself ? player.rest() : player.pause());
  return {
    element: h("div.quads.pose", { onfocusin: stays }, fields.map((field) => field.element)),
    update: () => fields.forEach((field) => field.update()),
  };
}

function swayFields(get, set) {
  return [
    segments({
      text: t("sway.like"), choices: ["wind", "water", "breath"].map((like) => [like, t(`sway.${like}`)]), get: () => get().like,
      set: (like) => set({ like }),
    }),
    slider({
      text: t("sway.amount"), help: t("sway.amount.help"), min: 0.1, max: 6, step: 0.1, get: () => get().amount,
      set: (amount, gesture) => set({ amount }, gesture), say: (value) => `${value.toFixed(1)} %`,
    }),
    slider({
      text: t("sway.direction"), min: -180, max: 180, step: 5, get: () => get().direction,
      set: (direction, gesture) => set({ direction }, gesture), say: (value) => `${value}°`,
    }),
    slider({ text: t("sway.rounds"), min: 1, max: 8, step: 1, get: () => get().rounds, set: (rounds, gesture) => set({ rounds }, gesture) }),
  ];
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

/** From when to when, in seconds. */
function timing(store, get, set) {
  const last = () => store.document.frames - 1;
  const seconds = (frame) => Math.round((100 * frame) / store.document.fps) / 100;
  const framesOf = (value) => Math.round(value * store.document.fps);
  const start = number({
    text: t("timeline.start.seconds"), step: 0.1, get: () => seconds(get().start),
    set: (value) => set({ start: Math.min((get().end ?? last()) - 1, Math.max(0, framesOf(value))) }),
  });
  const end = number({
    text: t("timeline.end.seconds"), step: 0.1, get: () => seconds(get().end ?? last()),
    set: (value) => {
      const frame = Math.max(get().start + 1, framesOf(value));
      set({ end: frame >= last() ? null : frame });
    },
  });
  return {
    element: h("div.quads", {}, start.element, end.element),
    update: () => [start, end].forEach((field) => field.update()),
  };
}

/** How far a line goes with every frame: a number makes it even, and ends it when it is there. */
function pace(store, get, set) {
  const last = () => store.document.frames - 1;
  const away = () => lengthOf(get().points) * Math.abs(get().strength) * (get().thereAndBack ? 2 : 1);
  return number({
    text: t("pace"), help: t("pace.help"), step: 0.5, get: () => Math.round((100 * away()) / ((get().end ?? last()) - get().start)) / 100,
    set: (value) => {
      if (value <= 0) return;
      const frame = get().start + Math.max(1, Math.round(away() / value));
      set({ ease: "linear", end: frame >= last() ? null : frame });
    },
  });
}

/** Moves that a camera often makes, as a start. */
const MOVES = {
  in: { zoom: 1.25 }, out: { zoom: 0.8 }, right: { panX: 0.15 }, left: { panX: -0.15 }, up: { panY: -0.12 }, down: { panY: 0.12 }, turn: { rotate: 8, zoom: 1.15 },
};

function cameraPresets(store, get, set) {
  const still = { panX: 0, panY: 0, zoom: 1, rotate: 0 };
  const { width, height } = store.document.picture ?? { width: 1, height: 1 };
  const buttons = Object.entries(MOVES).map(([name, share]) => {
    const move = { ...still, ...share, panX: ("panX" in share ? share.panX : 0) * width, panY: ("panY" in share ? share.panY : 0) * height };
    return h("button.chip", { type: "button", "data-move": name, onclick: () => set({ move }) }, t(`camera.preset.${name}`));
  });
  return { element: h("div.presets", { role: "group", "aria-label": t("camera.presets") }, buttons), update() {} };
}

function shapes(store) {
  const buttons = Object.keys(SHAPES).map((shape) => h(
    "button.chip", { type: "button", "data-shape": shape, onclick: () => shapeSelected(store, shape) }, t(`shape.${shape}`)));
  return { element: h("div.presets", { role: "group", "aria-label": t("shape") }, buttons), update() {} };
}

function region(store) {
  const text = h("span.note");
  const clear = h("button.text", { type: "button", onclick: () => setRegion(store, null) }, t("region.clear"));
  const element = h("div.region", {}, h("span.label", {}, t("region")), text, clear);
  const update = () => {
    const own = store.selected ? store.selected.region : store.document.region;
    const words = own ? ("select" in own ? "region.selected" : "region.painted") : store.document.region ? "region.scene" : "region.none";
    write(text, t(words));
    clear.hidden = !own;
  };
  return { element, update };
}
