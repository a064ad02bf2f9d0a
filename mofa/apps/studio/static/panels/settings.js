/** The clip's settings: renderer, length, size; and what the chosen renderer alone has. */

import { h, show } from "../elements/dom.js";
import { noticed } from "../elements/notices.js";
import { choice, number, segments, slider, toggle, words } from "../elements/fields.js";
import { isBorder, newControl, retimed, SIDES, sizeAt } from "../state/scene.js";
import { inLanguage, t } from "../state/texts.js";
import { makeWeights } from "./weights.js";

const RATES = [6, 8, 10, 12, 15, 16, 20, 24, 25, 30];
const MOST_FRAMES = 121;

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/problems.js").Notices} notices
 * @param {any} form what the server says about the settings
 * @param {AbortSignal} signal ends it
 */
export function makeSettings(store, notices, form, signal) {
  const document_ = () => store.document;
  const edit = (change, gesture) => store.edit(change, gesture);
  const help = (name) => inLanguage(form.clip[name].help);
  const clip = [
    noticed(notices, "renderer", segments({
      text: t("renderer"), help: help("renderer"), get: () => document_().renderer, set: (renderer) => edit({ renderer }),
      choices: [["warp", t("renderer.warp"), t("renderer.warp.help")], ["diffusion", t("renderer.diffusion"), t("renderer.diffusion.help")]],
    })),
    noticed(notices, "length", slider({
      text: t("length"), help: help("frames"), min: 8, max: () => Math.max(MOST_FRAMES, document_().frames), step: 1, get: () => document_().frames,
      set: (frames, gesture) => edit(retimed(document_(), frames), gesture),
      say: (frames) => t("length.value", { frames, seconds: (frames / document_().fps).toFixed(1) }),
    })),
  ];
  const more = [
    noticed(notices, "fps", choice({
      text: t("fps"), help: help("fps"), get: () => document_().fps, set: (fps) => edit({ fps }),
      choices: () => withCurrent(RATES, document_().fps).map((rate) => [rate, t("fps.value", { rate })]),
    })),
    noticed(notices, "size", choice({
      text: t("size"), help: help("size"), get: () => String(document_().size), choices: () => sizes(document_()),
      set: (size) => edit({ size: size.split(",").map(Number) }),
    })),
    toggle({ text: t("loop"), help: help("loop"), get: () => document_().loop, set: (loop) => edit({ loop }) }),
    toggle({ text: t("border"), help: t("border.help"), get: () => document_().controls.some(isBorder), set: (locked) => edit({ controls: withBorder(document_(), locked) }) }),
  ];
  const weights = noticed(notices, "weights", makeWeights(store));
  const diffusion = makeDiffusion(store, notices, form);
  const element = h("section.card.settings", { "aria-label": t("settings") },
    clip.map((field) => field.element), h("div.pair", {}, more.map((field) => field.element)), weights.element, diffusion.element);
  const update = () => {
    if (!document_().picture) return;
    for (const field of [...clip, ...more]) field.update();
    weights.update();
    diffusion.update();
  };
  store.subscribe((what) => what === "document" && update());
  notices.addEventListener("change", update, { signal });
  update();
  return element;
}

/** Percent of the photo's longer side: as much as a hand would paint along the edge. */
const BORDER = 4;

/** The controls, with the picture's border held or let go. */
function withBorder(document, locked) {
  const others = document.controls.filter((control) => !isBorder(control));
  return locked ? [...others, newControl(document, { kind: "still", region: { border: BORDER } })] : others;
}

const withCurrent = (values, current) => [...new Set([...values, current])].sort((a, b) => a - b);

function sizes(document) {
  const { picture, size } = document;
  const usual = Object.entries(SIDES).map(([name, side]) => [sizeAt(picture, side), t(`size.${name}`)]);
  const distinct = new Map(usual.reverse().map(([pair, name]) => [String(pair), `${name} · ${pair.join(" × ")}`]));
  if (size && !distinct.has(String(size))) distinct.set(String(size), size.join(" × "));
  return [...distinct].reverse();
}

function makeDiffusion(store, notices, form) {
  const settings = () => store.document.diffusion ?? form.presets.standard;
  const set = (change, gesture) => store.edit({ diffusion: { ...settings(), ...change } }, gesture);
  const preset = segments({
    text: t("preset"), help: t("preset.help"), get: () => presetOf(settings(), form.presets),
    set: (name) => store.edit({ diffusion: { ...form.presets[name] } }),
    choices: Object.keys(form.presets).map((name) => [name, t(`preset.${name}`)]),
  });
  const seed = noticed(notices, "seed", number({
    text: t("seed"), help: inLanguage(form.clip.seed.help), step: 1, get: () => store.document.seed,
    set: (value) => store.edit({ seed: Math.max(0, Math.round(value)) }),
  }));
  const fields = form.diffusion.map((field) => (
    { ...noticed(notices, `setting.${field.name}`, fieldOf(field, settings, set)), everyday: field.everyday }));
  const everyday = fields.filter((field) => field.everyday);
  const rest = fields.filter((field) => !field.everyday);
  const element = h("div.diffusion", {}, preset.element, everyday.map((field) => field.element),
    h("details", {}, h("summary", {}, t("more")), h("div.stack", {}, seed.element, rest.map((field) => field.element))));
  const update = () => {
    const chosen = store.document.renderer === "diffusion";
    show(element, chosen);
    if (chosen) for (const field of [preset, seed, ...fields]) field.update();
  };
  return { element, update };
}

const presetOf = (settings, presets) =>
  Object.keys(presets).find((name) => Object.entries(presets[name]).every(([key, value]) => (settings[key] ?? null) === value)) ?? null;

function fieldOf({ name, kind, choices, help }, settings, set) {
  const options = { text: t(`setting.${name}`), help: inLanguage(help), get: () => settings()[name] };
  switch (kind) {
    case "choice":
      return choice({ ...options, choices: choices.map((value) => [value, String(value)]), set: (value) => set({ [name]: value }) });
    case "switch":
      return toggle({ ...options, set: (value) => set({ [name]: value }) });
    case "whole":
      return number({ ...options, step: 1, set: (value) => set({ [name]: Math.round(value) }) });
    case "number":
      return number({ ...options, set: (value) => set({ [name]: value }) });
    default:
      return words({ ...options, set: (value) => set({ [name]: value || null }) });
  }
}
