/** Form fields bound to the document: each has its element, and an `update` that shows the value of now. */

import { h, write } from "./dom.js";

/** A label over a field, with its help as a tooltip. */
function labelled(text, help, ...content) {
  return h("label.field", { title: help || null }, h("span.label", {}, text), ...content);
}

/**
 * An update that leaves a field alone while somebody types in it: a clip that plays must not take the words away.
 * @param {HTMLInputElement} input
 * @param {() => string} value
 */
function shows(input, value) {
  let typing = false;
  input.addEventListener("input", () => { typing = true; });
  for (const end of ["change", "blur"]) input.addEventListener(end, () => { typing = false; }, { capture: true });
  return () => { if (!typing) input.value = value(); };
}

/**
 * A slider with its value beside it.
 * @param {{text: string, help?: string, min: number, max: number | (() => number), step: number, get: () => number,
 *   set: (value: number, gesture: unknown) => void, say?: (value: number) => string}} options
 */
export function slider({ text, help, min, max, step, get, set, say = String }) {
  let gesture = {};
  const value = h("output");
  const input = h("input", {
    type: "range", min: String(min), step: String(step),
    oninput: () => set(Number(input.value), gesture),
    onchange: () => { gesture = {}; },
  });
  const update = () => {
    const most = typeof max === "function" ? max() : max;
    input.max = String(most);
    input.value = String(get());
    write(value, say(get()));
    const share = (Math.min(most, Math.max(min, get())) - min) / (most - min);
    input.style.setProperty("--share", `${100 * share}%`);
  };
  return { element: labelled(text, help, value, input), update };
}

/**
 * What every field is made from.
 * @template T
 * @typedef {{text: string, help?: string, get: () => T, set: (value: any) => void}} FieldOf
 */

/**
 * A number typed in.
 * @param {FieldOf<number | null> & {step?: number | string}} options
 */
export function number({ text, help, get, set, step = "any" }) {
  const input = h("input", { type: "number", step: String(step), onchange: () => input.value !== "" && set(Number(input.value)) });
  return { element: labelled(text, help, input), update: shows(input, () => String(get() ?? "")) };
}

/**
 * Words typed in.
 * @param {FieldOf<string | null | undefined>} options
 */
export function words({ text, help, get, set }) {
  const input = h("input", { type: "text", onchange: () => set(input.value.trim()) });
  return { element: labelled(text, help, input), update: shows(input, () => get() ?? "") };
}

/**
 * A switch.
 * @param {FieldOf<boolean>} options
 */
export function toggle({ text, help, get, set }) {
  const input = h("input", { type: "checkbox", role: "switch", onchange: () => set(input.checked) });
  const element = h("label.field.switch", { title: help || null }, h("span.label", {}, text), input);
  return { element, update: () => { input.checked = get(); } };
}

/**
 * One of several values. `choices` are [value, text] pairs, or a function that returns them.
 * @param {FieldOf<any> & {choices: any[][] | (() => any[][])}} options
 */
export function choice({ text, help, choices, get, set }) {
  const pairs = () => (typeof choices === "function" ? choices() : choices);
  const input = h("select", { onchange: () => set(pairs()[input.selectedIndex][0]) });
  let offered = "";
  const update = () => {
    const now = JSON.stringify(pairs());
    if (now !== offered) input.replaceChildren(...pairs().map(([value, name]) => h("option", { value: String(value) }, name)));
    offered = now;
    input.selectedIndex = Math.max(0, pairs().findIndex(([value]) => value === get()));
  };
  return { element: labelled(text, help, input), update };
}

/**
 * One of a few values, all in sight.
 * @param {FieldOf<any> & {choices: any[][]}} options
 */
export function segments({ text, help, choices, get, set }) {
  const buttons = choices.map(([value, name, title]) => h(
    "button", { type: "button", title: title ?? null, "data-value": String(value), onclick: () => set(value) }, name));
  const update = () => buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(choices[k][0] === get())));
  const row = h("div.segments", { role: "group", "aria-label": text }, buttons);
  return { element: h("div.field", { title: help || null }, h("span.label", {}, text), row), update };
}
