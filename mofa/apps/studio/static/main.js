/** Puts the studio together. */

import { debounced, h, show } from "./dom.js";
import { makeFaceCard } from "./face_card.js";
import { makeFiles } from "./files.js";
import { makeGenerate } from "./generate.js";
import { makeHeader } from "./header.js";
import { makeHints } from "./hints.js";
import { icon } from "./icons.js";
import { makeInspector } from "./inspector.js";
import { listenToKeys } from "./keys.js";
import { makePreview } from "./preview.js";
import { makeResults } from "./results.js";
import { EMPTY, toScene } from "./scene.js";
import { keepScene, start } from "./server.js";
import { makeSettings } from "./settings.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";
import { setLanguage, setTexts, t } from "./texts.js";
import { makeTimeline } from "./timeline.js";
import { makeTip } from "./tip.js";
import { makeToolbar } from "./toolbar.js";
import { makeWelcome } from "./welcome.js";

const KEEP_PAUSE = 800;
/** What this page's scene is called on the server. */
const SCENE_NAME = `scene-${Math.random().toString(36).slice(2, 12)}`;

/** Called by the page once Gradio has drawn it. */
export async function mount(page) {
  const root = page.querySelector("#studio");
  const begin = await start();
  setTexts(begin.texts);
  const store = new Store(EMPTY);
  const files = build(root, store, begin);
  const wanted = new URLSearchParams(location.search).get("scene");
  if (wanted) await files.named(wanted);
  root.dataset.ready = "true";
  // For the browser's console, and for tests.
  window.mofaStudio = { store };
}

function build(root, store, begin) {
  const toast = h("div.toast", { role: "alert", hidden: true });
  const veil = h("div.veil", { hidden: true }, h("div.spinner"));
  const busy = async (work) => {
    show(veil, true);
    show(toast, false);
    try {
      await work;
    } catch (problem) {
      toast.replaceChildren(h("span", {}, problem.message), h(
        "button.quiet", { type: "button", "aria-label": t("close"), onclick: () => show(toast, false) }, icon("close")));
      show(toast, true);
    }
    show(veil, false);
  };
  const files = makeFiles(store, begin.accept, busy);
  const life = new AbortController();
  const stage = new Stage(store, life.signal);
  const hints = makeHints(store);
  let header = null;
  const results = makeResults(begin.results, {
    again: (result) => files.named(result.name),
    opened: (isOpen) => {
      root.classList.toggle("showing-result", isOpen);
      header.update();
    },
  });
  const language = (name) => {
    life.abort();
    store.listeners.clear();
    setLanguage(name);
    build(root, store, begin);
  };
  header = makeHeader(store, { files, busy, hints, language, results });
  const generate = makeGenerate(store, (result) => {
    hints.finish();
    results.add(result);
  });
  const zoom = (key, picture, factor) => h(
    "button.round", { type: "button", title: t(key), "aria-label": t(key), onclick: () => stage.zoom(factor) }, icon(picture));
  const center = h("main.center", {},
    stage.element,
    h("div.zoom", {}, zoom("zoom.out", "minus", 0.8), zoom("zoom.fit", "fit", null), zoom("zoom.in", "plus", 1.25)),
    hints.element,
    makeTip(store),
    makeWelcome(store, begin.examples, { choose: () => files.choose("photo"), example: (name) => files.named(name) }));
  const faceCard = makeFaceCard(store, stage.faces, { drive: files.drive, choose: files.chooseDriver });
  const side = h("aside.side", {},
    h("div.scroll", {}, faceCard, makePreview(store), makeInspector(store, stage), makeSettings(store, begin.settings)), generate);
  root.replaceChildren(header.element, makeToolbar(store), center, makeTimeline(store, stage), side, results.element, toast, veil);
  files.listen(root, life.signal);
  listenToKeys(store, stage, life.signal);
  keepInAddress(store);
  const suit = () => {
    const { picture } = store.document;
    root.classList.toggle("empty", !picture);
    root.style.setProperty("--aspect", picture ? picture.width / picture.height : 1);
  };
  store.subscribe(suit);
  suit();
  return files;
}

/** Keeps the scene on the server under a name in the address, so that a reload brings everything back. */
function keepInAddress(store) {
  let kept = null;
  const keep = debounced(async () => {
    const { document } = store;
    if (!document.picture || !document.controls.length || document === kept) return;
    kept = document;
    await keepScene(SCENE_NAME, await toScene(document));
    history.replaceState(null, "", `?scene=${SCENE_NAME}`);
  }, KEEP_PAUSE);
  store.subscribe((what) => what === "document" && keep());
}
