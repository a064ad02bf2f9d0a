/** Problems that the server tells by key, in the reader's words. */

import { inLanguage, t } from "./texts.js";

/** @typedef {{error: string, key?: string, values?: Record<string, string | number>}} Problem */

/** @type {Record<string, {en: string, zh: string}>} */
let known = {};

/** @param {Record<string, {en: string, zh: string}>} problems */
export function setProblems(problems) {
  known = problems;
}

/**
 * A problem as the page says it; one that has no words here is said as the server does.
 * @param {Problem} problem
 */
export function said({ error, key = "", values = {} }) {
  if (key in known) return inLanguage(known[key]).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  return t("problem.other", { sentence: error.charAt(0).toUpperCase() + error.slice(1) });
}
