/** The bar on top: photo, scene, undo, theme, language. */

import { h, saveAs } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { packScene } from "../net/server.js";
import { moves } from "../state/preview.js";
import { toScene } from "../state/scene.js";
import { currentLanguage, t } from "../state/texts.js";
import { currentTheme, setTheme } from "../state/theme.js";

/**
 * @param {import("../state/store.js").Store} store
 * @param {{files: any, busy: (work: Promise<unknown>, part: string) => void, sheet: {open: () => void}, language: (name: string) => void,
 *   results: any}} parts
 */
export function makeHeader(store, { files, busy, sheet, language, results }) {
  const button = (id, picture, action, text = "") => h(
    "button.bar-button", { type: "button", id, title: t(`header.${id}`), "aria-label": text || t(`header.${id}`), onclick: action },
    icon(picture), text && h("span", {}, text));
  const undo = button("undo", "undo", () => store.undo());
  const redo = button("redo", "redo", () => store.redo());
  const save = button("save", "save", () => busy(saved(), "photo"), t("header.save.short"));
  const clips = button("clips", "film", () => results.open(), t("header.clips.short"));
  const theme = button("theme", "moon", () => {
    setTheme(currentTheme() === "dark" ? "light" : "dark");
    update();
  });
  const other = currentLanguage() === "en" ? "zh" : "en";

  async function saved() {
    const address = URL.createObjectURL(await packScene(await toScene(store.document)));
    saveAs(address, "mofa-scene.zip");
    URL.revokeObjectURL(address);
  }

  const element = h("header.top", {},
    h("span.brand", {}, h("b", {}, "mofa"), " studio"),
    h("div.group", {},
      button("photo", "photo", () => files.choose("photo"), t("header.photo.short")),
      button("open", "open", () => files.choose("scene", "photo", "video", "tracks"), t("header.open.short")),
      save),
    h("div.group", {}, undo, redo),
    h("div.group.end", {},
      clips, theme,
      button("help", "help", () => sheet.open()),
      h("button.bar-button", { type: "button", id: "language", lang: other, onclick: () => language(other) }, other === "zh" ? "中文" : "English")));
  const update = () => {
    undo.disabled = !store.past.length;
    redo.disabled = !store.future.length;
    save.disabled = !moves(store.document);
    clips.hidden = !results.count;
    const other = currentTheme() === "dark" ? "sun" : "moon";
    if (theme.dataset.icon !== other) theme.replaceChildren(icon(other));
    theme.dataset.icon = other;
  };
  store.subscribe(update);
  update();
  return { element, update };
}
