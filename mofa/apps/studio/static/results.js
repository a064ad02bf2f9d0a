/** Finished clips: one beside its source, its flow and overlay, downloads; and the history of the visit. */

import { h, show } from "./dom.js";
import { segments } from "./fields.js";
import { icon } from "./icons.js";
import { downloadAddress, resultAddress } from "./server.js";
import { t } from "./texts.js";

const TABS = ["clip", "flow", "overlay", "landmarks"];
const FORMS = ["mp4", "gif", "frames", "scene"];

/**
 * @param {any[]} results the visit's clips, the newest first
 * @param {{again: (result: any) => void, opened: (isOpen: boolean) => void}} actions
 */
export function makeResults(results, { again, opened }) {
  let current = null;
  let other = null;
  let tab = "clip";
  const stage = h("div.result-stage");
  const history = h("div.history", { role: "list", "aria-label": t("history") });
  const downloads = h("div.downloads");
  const tabs = segments({
    text: t("result"), choices: TABS.map((name) => [name, t(`result.${name}`)]), get: () => tab,
    set: (value) => {
      tab = value;
      draw();
    },
  });
  const element = h("section.results", { hidden: true, "aria-label": t("result") },
    h("header", {},
      h("button.text", { type: "button", onclick: close }, icon("back"), t("result.back")),
      h("button.text.again", { type: "button", onclick: () => { close(); again(current); } }, icon("loop"), t("again")),
      tabs.element, downloads),
    stage, history);

  const figure = (content, caption) => h("figure", {}, content, h("figcaption", {}, caption));
  const video = (result, file = "clip") => h("video", {
    loop: true, muted: !result.sound, autoplay: true, playsInline: true, controls: true, src: resultAddress(result, file),
  });
  const picture = (file) => h("img", { src: resultAddress(current, file), alt: t(`result.${file}`) });

  function shown() {
    if (other) return together(figure(video(current), facts(current)), figure(video(other), facts(other)));
    if (tab === "landmarks") return [figure(video(current, tab), t("result.landmarks.help"))];
    if (tab !== "clip") return [figure(picture(tab), t(`result.${tab}.help`))];
    return [figure(picture("still"), t("result.still")), figure(video(current), facts(current))];
  }

  function draw() {
    if (!current.files[tab]) tab = "clip";
    tabs.update();
    show(tabs.element.querySelector("[data-value=landmarks]"), Boolean(current.files.landmarks));
    stage.replaceChildren(...shown());
    stage.dataset.count = String(stage.children.length);
    downloads.replaceChildren(
      ...FORMS.map((form) => h("a.button", { href: downloadAddress(current, form), download: "", "data-form": form }, icon("save"), t(`form.${form}`))));
    history.replaceChildren(...results.map(entry));
  }

  function entry(result) {
    const comparing = other && result.name === other.name;
    return h("div.entry", { role: "listitem", "aria-current": String(result.name === current.name) },
      h("button.thumbnail", { type: "button", title: facts(result), onclick: () => open(result) },
        h("img", { src: resultAddress(result, "thumbnail"), alt: facts(result) })),
      result.name !== current.name && h("button.quiet", {
        type: "button", title: t("compare"), "aria-label": t("compare"), "aria-pressed": String(Boolean(comparing)),
        onclick: () => {
          other = comparing ? null : result;
          tab = "clip";
          draw();
        },
      }, icon("compare")));
  }

  function open(result) {
    [current, other] = [result, null];
    show(element, true);
    draw();
    opened(true);
  }

  function close() {
    show(element, false);
    stage.replaceChildren();
    opened(false);
  }

  return {
    element,
    open: () => results.length && open(current ?? results[0]),
    add(result) {
      results.unshift(result);
      open(result);
    },
    close,
    get count() {
      return results.length;
    },
  };
}

function facts(result) {
  const seconds = Object.values(result.seconds).reduce((sum, spent) => sum + spent, 0);
  return t("result.facts", {
    size: `${result.width} × ${result.height}`, frames: result.frames, fps: result.fps, renderer: t(`renderer.${result.renderer}`),
    seconds: seconds.toFixed(1),
  });
}

/** Two clips that play in step. */
function together(...figures) {
  const [one, two] = figures.map((figure) => figure.querySelector("video"));
  for (const [leader, follower] of [[one, two], [two, one]]) {
    leader.addEventListener("play", () => { if (follower.paused) follower.play(); });
    leader.addEventListener("pause", () => { if (!follower.paused) follower.pause(); });
  }
  one.addEventListener("timeupdate", () => {
    if (Math.abs(one.currentTime - two.currentTime) > 0.2 && one.currentTime < two.duration) two.currentTime = one.currentTime;
  });
  return figures;
}
