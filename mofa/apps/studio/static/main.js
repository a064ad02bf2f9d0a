/** Puts the studio together: what outlives a change of language first, then what is seen. */

import { Stage } from "./canvas/stage.js";
import { finishDraft } from "./canvas/shape_tools.js";
import { Viewport } from "./canvas/viewport.js";
import { h, show } from "./elements/dom.js";
import { icon } from "./elements/icons.js";
import { makeFiles } from "./net/files.js";
import { keepInAddress } from "./net/keeper.js";
import { start } from "./net/server.js";
import { recallSteps } from "./net/steps.js";
import { makeChips } from "./panels/chips.js";
import { makeFaceCard } from "./panels/face_card.js";
import { makeGenerate } from "./panels/generate.js";
import { makeHeader } from "./panels/header.js";
import { makeInspector } from "./panels/inspector.js";
import { makePreview } from "./panels/preview.js";
import { makeProblem } from "./panels/problem.js";
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
import { askedControls, Notices, sentenceOf, setProblems, spotOf } from "./state/problems.js";
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
 *   sounds: Sounds, rendering: Rendering, notices: Notices, clips: any[]}} Services
 */

/** Called once, when the page is there. */
async function mount(root) {
  recallTheme();
  const begin = await start();
  setTexts(begin.texts);
  setProblems(begin.problems);
  const store = new Store(EMPTY);
  const things = new Things();
  const notices = new Notices();
  /** @type {Services} */
  const services = {
    store, things, regions: new Regions(things), faces: new Faces(store), viewport: new Viewport(), player: new Player(store),
    preview: new Preview(store, notices), sounds: new Sounds(), rendering: new Rendering(notices), notices, clips: begin.results,
  };
  const files = build(root, services, begin);
  const wanted = new URLSearchParams(location.search).get("scene");
  if (wanted) await files.named(wanted);
  if (wanted) recallSteps(store, wanted);
  keepInAddress(store, notices, wanted?.startsWith("scene-") ? wanted : null);
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
  const { store, faces, rendering, player, preview, sounds, notices } = services;
  const life = new AbortController();
  const { signal } = life;
  store.listeners.clear();
  store.followers.clear();
  const veil = h("div.veil", { hidden: true }, h("div.spinner"));
  const busy = async (work, part) => {
    show(veil, true);
    notices.clear("file");
    try {
      await pending(work);
    } catch (problem) {
      const spot = spotOf(problem, askedControls(store.document));
      notices.tell("file", problem, part === "photo" && spot?.control ? spot : { part, control: null });
    }
    show(veil, false);
  };
  // What was wrong may be right now; who asks again is told again.
  store.subscribe((what) => what === "document" && notices.clear());
  const files = makeFiles(store, begin.accept, busy);
  const stage = new Stage(services, signal);
  const sheet = makeSheet();
  const chips = makeChips(services, () => finishDraft(stage), signal);
  const problem = makeProblem(services, signal);
  stage.placed = () => {
    chips.place();
    problem.place();
  };
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
    problem.element,
    makeTip(store),
    makeWelcome(store, notices, begin.examples, { choose: () => files.choose("photo"), example: (name) => files.named(name) }, signal));
  const faceCard = makeFaceCard(store, faces, notices, { drive: files.drive, choose: files.chooseDriver }, signal);
  const side = h("aside.side", {},
    h("div.scroll", {}, faceCard, makeInspector(store, stage, notices, files.choosePicture), makeSettings(store, notices, begin.settings, signal)),
    makeGenerate(store, rendering, notices, signal));
  root.replaceChildren(
    header.element, makeToolbar(store), center, makeTimeline(store, player, sounds, signal), side, results.element, veil, sheet.element,
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
