/** Dark unless somebody has chosen light: the photo is what should be bright. */

const KEPT = "mofa-theme";

export function currentTheme() {
  return document.documentElement.dataset.theme ?? "dark";
}

export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(KEPT, theme);
}

/** What was chosen at an earlier visit. */
export function recallTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(KEPT) === "light" ? "light" : "dark";
}
