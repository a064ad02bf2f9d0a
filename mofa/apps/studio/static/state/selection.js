/**
 * Selections in words, as scenes have them: "120,80 +140,90 -200,50:part".
 * @typedef {"part" | "thing" | "group"} Level
 * @typedef {{on: [number, number][], beside: [number, number][], level: Level}} Selection places in picture pixels
 */

/**
 * @param {[number, number]} place
 * @param {Level} [level]
 */
export const selectionAt = (place, level = "thing") => wordsOf({ on: [place], beside: [], level });

/** @param {Selection} selection */
export function wordsOf({ on, beside, level }) {
  const point = ([x, y]) => `${Math.round(x)},${Math.round(y)}`;
  const words = [...on.map((place, k) => `${k ? "+" : ""}${point(place)}`), ...beside.map((place) => `-${point(place)}`)];
  return words.join(" ") + (level === "thing" ? "" : `:${level}`);
}

/**
 * @param {string} words in pixels or percent
 * @param {{width: number, height: number}} picture
 * @returns {Selection}
 */
export function parsed(words, { width, height }) {
  /** @type {Selection} */
  const selection = { on: [], beside: [], level: "thing" };
  const along = (text, side) => (text.endsWith("%") ? (parseFloat(text) / 100) * (side - 1) : parseFloat(text));
  for (const word of words.split(/\s+/).filter(Boolean)) {
    const [point, level] = word.split(":");
    if (level) selection.level = /** @type {Level} */ (level);
    const [x, y] = point.replace(/^[+-]/, "").split(",");
    const place = /** @type {[number, number]} */ ([along(x, width), along(y, height)]);
    (point.startsWith("-") && selection.on.length ? selection.beside : selection.on).push(place);
  }
  return selection;
}
