/** The bar on top: photo, scene, undo, language. */

import { h, saveAs } from "./dom.js";
import { icon } from "./icons.js";
import { toScene } from "./scene.js";
import { packScene } from "./server.js";
import { currentLanguage, t } from "./texts.js";

/**
 * @param {import("./store.js").Store} store
 * @param {{files: any, busy: (work: Promise<unknown>) => void, hints: any, language: (name: string) => void,
 *   results: any}} parts
 */
export function makeHeader(store, { files, busy, hints, language, results }) {
  const button = (id, picture, action, text = "") => h(
    "button.bar-button", { type: "button", id, title: t(`header.${id}`), "aria-label": t(`header.${id}`), onclick: action },
    icon(picture), text && h("span", {}, text));
  const undo = button("undo", "undo", () => store.undo());
  const redo = button("redo", "redo", () => store.redo());
  const save = button("save", "save", () => busy(saved()), t("header.save.short"));
  const clips = button("clips", "film", () => results.open(), t("header.clips.short"));
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
      clips,
      button("help", "help", () => hints.again()),
      h("button.bar-button", { type: "button", id: "language", lang: other, onclick: () => language(other) }, other === "zh" ? "中文" : "English")));
  const update = () => {
    undo.disabled = !store.past.length;
    redo.disabled = !store.future.length;
    save.disabled = !store.document.controls.length;
    clips.hidden = !results.count;
  };
  store.subscribe(update);
  update();
  return { element, update };
}
