/** Problems that the server tells, in the reader's words. */

import { inLanguage, t } from "./texts.js";

/** @type {{pattern: RegExp, words: {en: string, zh: string}}[]} */
let known = [];

/** @param {[string, string, string][]} problems pattern, English, Chinese */
export function setProblems(problems) {
  known = problems.map(([pattern, en, zh]) => ({ pattern: new RegExp(pattern), words: { en, zh } }));
}

/**
 * A sentence of the server as the page says it.
 * @param {string} sentence
 */
export function said(sentence) {
  for (const { pattern, words } of known) {
    const found = sentence.match(pattern);
    if (found) return inLanguage(words).replace(/\{(\d)\}/g, (_, group) => found[Number(group)] ?? "");
  }
  const plain = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  return t("problem.other", { sentence: plain });
}
