/** Puts the studio together: what outlives a change of language first, then what is seen. */

import { Stage } from "./canvas/stage.js";
import { Viewport } from "./canvas/viewport.js";
import { h, sentenceOf, show } from "./elements/dom.js";
import { icon } from "./elements/icons.js";
import { makeFiles } from "./net/files.js";
import { keepInAddress } from "./net/keeper.js";
import { start } from "./net/server.js";
import { makeChips } from "./panels/chips.js";
import { makeFaceCard } from "./panels/face_card.js";
import { makeGenerate } from "./panels/generate.js";
import { makeHeader } from "./panels/header.js";
import { makeInspector } from "./panels/inspector.js";
import { makePreview } from "./panels/preview.js";
import { makeReconnecting } from "./panels/reconnecting.js";
import { makeResults } from "./panels/results.js";
import { makeSettings } from "./panels/settings.js";
import { makeTimeline } from "./panels/timeline.js";
import { makeSheet } from "./panels/sheet.js";
import { makeTip } from "./panels/tip.js";
import { makeToolbar } from "./panels/toolbar.js";
import { makeWelcome } from "./panels/welcome.js";
import { Faces } from "./state/faces.js";
import { listenToKeys } from "./state/keys.js";
import { pending } from "./state/pending.js";
import { setProblems } from "./state/problems.js";
import { Rendering } from "./state/rendering.js";
import { Player } from "./state/player.js";
import { Preview } from "./state/preview.js";
import { Regions } from "./state/regions.js";
import { EMPTY } from "./state/scene.js";
import { Sounds } from "./state/sounds.js";
import { Store } from "./state/store.js";
import { recallTheme } from "./state/theme.js";
import { Things } from "./state/things.js";
import { setLanguage, setTexts, t } from "./state/texts.js";

/**
 * @typedef {{store: Store, things: Things, regions: Regions, faces: Faces, viewport: Viewport, player: Player, preview: Preview,
 *   sounds: Sounds, rendering: Rendering, clips: any[]}} Services
 */

/** Called once, when the page is there. */
async function mount(root) {
  recallTheme();
  const begin = await start();
  setTexts(begin.texts);
  setProblems(begin.problems);
  const store = new Store(EMPTY);
  const things = new Things();
  /** @type {Services} */
  const services = {
    store, things, regions: new Regions(things), faces: new Faces(store), viewport: new Viewport(), player: new Player(store),
    preview: new Preview(store), sounds: new Sounds(), rendering: new Rendering(), clips: begin.results,
  };
  const files = build(root, services, begin);
  const wanted = new URLSearchParams(location.search).get("scene");
  if (wanted) await files.named(wanted);
  keepInAddress(store, wanted?.startsWith("scene-") ? wanted : null);
  services.rendering.resume();
  root.dataset.ready = "true";
  // For the browser's console, and for tests.
  Object.assign(window, { mofaStudio: { store, player: services.player, preview: services.preview, module: (path) => import(`./${path}`) } });
}

/**
 * Everything that is seen, in the language of now.
 * @param {HTMLElement} root
 * @param {Services} services
 * @param {any} begin what the server said at the start
 */
function build(root, services, begin) {
  const { store, faces, rendering, player, preview, sounds } = services;
  const life = new AbortController();
  const { signal } = life;
  store.listeners.clear();
  const toast = h("div.toast", { role: "alert", hidden: true });
  const veil = h("div.veil", { hidden: true }, h("div.spinner"));
  const busy = async (work) => {
    show(veil, true);
    show(toast, false);
    try {
      await pending(work);
    } catch (problem) {
      toast.replaceChildren(h("span", {}, sentenceOf(problem)), h(
        "button.quiet", { type: "button", "aria-label": t("close"), onclick: () => show(toast, false) }, icon("close")));
      show(toast, true);
    }
    show(veil, false);
  };
  store.subscribe((what) => {
    if (what !== "document") return;
    show(toast, false);
    rendering.forget();
  });
  const files = makeFiles(store, begin.accept, busy);
  const stage = new Stage(services, signal);
  const sheet = makeSheet();
  const chips = makeChips(services, signal);
  stage.placed = chips.place;
  const results = makeResults(services.clips, {
    again: (result) => files.named(result.name),
    opened: (isOpen) => {
      root.classList.toggle("showing-result", isOpen);
      header.update();
    },
  }, signal);
  const language = (name) => {
    life.abort();
    setLanguage(name);
    build(root, services, begin);
  };
  const header = makeHeader(store, { files, busy, sheet, language, results });
  rendering.addEventListener("done", (event) => {
    results.add(/** @type {CustomEvent} */ (event).detail);
  }, { signal });
  const zoom = (key, picture, factor) => h(
    "button.round", { type: "button", title: t(key), "aria-label": t(key), onclick: () => stage.zoom(factor) }, icon(picture));
  const center = h("main.center", {},
    stage.element,
    h("div.zoom", {}, zoom("zoom.out", "minus", 0.8), zoom("zoom.fit", "fit", null), zoom("zoom.in", "plus", 1.25)),
    makePreview(store, preview, signal),
    chips.element,
    makeTip(store),
    makeWelcome(store, begin.examples, { choose: () => files.choose("photo"), example: (name) => files.named(name) }));
  const faceCard = makeFaceCard(store, faces, { drive: files.drive, choose: files.chooseDriver }, signal);
  const side = h("aside.side", {},
    h("div.scroll", {}, faceCard, makeInspector(store, stage, files.choosePicture), makeSettings(store, begin.settings)),
    makeGenerate(store, rendering, signal));
  root.replaceChildren(
    header.element, makeToolbar(store), center, makeTimeline(store, player, sounds, signal), side, results.element, toast, veil, sheet.element,
    makeReconnecting(signal));
  files.listen(root, signal);
  listenToKeys(store, stage, player, results, sheet, signal);
  const suit = () => {
    const { picture } = store.document;
    root.classList.toggle("empty", !picture);
    root.style.setProperty("--aspect", String(picture ? picture.width / picture.height : 1));
  };
  store.subscribe(suit);
  suit();
  // The page was reloaded, or speaks another language now.
  if (history.state?.view === "result") results.open();
  return files;
}

const root = /** @type {HTMLElement} */ (document.getElementById("studio"));
mount(root).catch((problem) => { root.textContent = sentenceOf(problem); });
