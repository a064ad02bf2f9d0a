/** What the page says, in the visitor's language. */

const KEPT = "mofa-language";
let texts = {};
let language = "en";

/** @param {Record<string, {en: string, zh: string}>} all */
export function setTexts(all) {
  texts = all;
  const wished = localStorage.getItem(KEPT) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  setLanguage(wished);
}

export function setLanguage(wished) {
  language = wished === "zh" ? "zh" : "en";
  localStorage.setItem(KEPT, language);
  document.documentElement.lang = language;
}

export const currentLanguage = () => language;

/**
 * A text by its key; `{name}` in it is replaced by that value.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return inLanguage(texts[key] ?? { en: key, zh: key }).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The right one of a pair of texts. */
export const inLanguage = (pair) => pair[language];

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 90) return t("time.seconds", { count: 5 * Math.max(1, Math.round(seconds / 5)) });
  return t("time.minutes", { count: Math.round(seconds / 60) });
}
