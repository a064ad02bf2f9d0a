/** Small helpers to make elements. */

import { pending } from "../state/pending.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false | Child[]} Child */

/**
 * An element with attributes, listeners ("onclick") and children. `null` children and attributes are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag | `${Tag}.${string}`} tag for example "button.primary"
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = /** @type {HTMLElementTagNameMap[Tag]} */ (document.createElement(name));
  if (classes.length) element.className = classes.join(" ");
  return filled(element, attributes, children);
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, any>} attributes
 * @param {Child[]} children
 */
function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (element instanceof HTMLElement && key in element && typeof value !== "string") Object.assign(element, { [key]: value });
    else element.setAttribute(key, value === true ? "" : value);
  }
  const kept = /** @type {(Node | string)[]} */ (/** @type {any[]} */ (children).flat(Infinity).filter((child) => child || child === ""));
  element.append(...kept);
  return element;
}

/**
 * Shows or hides an element.
 * @param {HTMLElement} element
 * @param {boolean} visible
 */
export function show(element, visible) {
  element.hidden = !visible;
}

/**
 * Writes words into an element, where they are not there already: a page is drawn anew where its words are set.
 * @param {Element} element
 * @param {string} words
 */
export function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/**
 * What draws on a canvas.
 * @param {HTMLCanvasElement} canvas
 */
export function penOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/**
 * What draws on a canvas whose pixels are asked for: it lies in the processor's memory, where asking takes a
 * hundredth of the time. Only the first one who takes a canvas's pen can say so.
 * @param {HTMLCanvasElement} canvas
 */
export function readablePenOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}

/** Lets the browser save content as a file. */
export function saveAs(href, name) {
  const link = h("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

/**
 * Calls back once nothing has asked for it for a while.
 * @param {() => unknown} callback
 * @param {number} milliseconds
 */
export function debounced(callback, milliseconds) {
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  let over = /** @type {((callback: unknown) => void) | null} */ (null);
  return () => {
    clearTimeout(timer);
    if (!over) pending(new Promise((resolve) => { over = resolve; }));
    timer = setTimeout(() => {
      const ended = /** @type {(callback: unknown) => void} */ (over);
      over = null;
      ended(callback());
    }, milliseconds);
  };
}
