/**
 * Finished clips: one large, the photo beneath it while it is held, its flow and overlay, what to take home; and
 * the clips of the visit. Being open is a step in the browser's history.
 */

import { h, saveAs, show } from "../elements/dom.js";
import { segments } from "../elements/fields.js";
import { icon } from "../elements/icons.js";
import { sentenceOf } from "../state/problems.js";
import { differences } from "../state/differences.js";
import { clipTitle } from "../state/names.js";
import { deleteClip, downloadAddress, exported, nameClip, resultAddress } from "../net/server.js";
import { t } from "../state/texts.js";
import { makeShare } from "./share.js";

const TABS = ["clip", "flow", "overlay", "landmarks"];
const OTHER_FORMS = ["gif", "frames", "scene"];
const OTHERS = ["wan-move", "ati", "kjnodes", "kling", "ttm"];

/**
 * @param {any[]} results the visit's clips, the newest first
 * @param {{again: (result: any) => void, opened: (isOpen: boolean) => void}} actions
 * @param {AbortSignal} signal ends it
 */
export function makeResults(results, { again, opened }, signal) {
  /** @type {any} */
  let current = null;
  /** @type {any} */
  let other = null;
  let tab = "clip";
  let isOpen = false;
  const stage = h("div.result-stage");
  const history_ = h("div.history", { role: "list", "aria-label": t("history") });
  const downloads = h("div.downloads");
  const title = h("input.clip-title", { type: "text", maxLength: 60, "aria-label": t("result.name"), onchange: rename });
  const tabs = segments({
    text: t("result"), choices: TABS.map((name) => [name, t(`result.${name}`)]), get: () => tab,
    set: (value) => {
      tab = value;
      draw();
    },
  });
  const element = h("section.results", { hidden: true, tabIndex: -1, "aria-label": t("result") },
    h("header", {},
      h("button.text", { type: "button", onclick: close }, icon("back"), t("result.back")),
      title, tabs.element,
      h("button.text.again", { type: "button", onclick: useAgain }, icon("loop"), t("again")),
      downloads),
    stage, history_);

  /** A browser may lack the codec; the clip is there all the same. */
  const unplayable = h("p.notice", { role: "alert" });
  const framed = (result, ...content) => {
    const frame = h("div.large", {}, content);
    frame.style.setProperty("--ratio", String(result.width / result.height));
    return frame;
  };
  const figure = (result, content, caption) => h("figure", {}, framed(result, content), h("figcaption", {}, caption));
  const video = (result, file = "clip") => h("video", {
    loop: true, muted: !result.sound, autoplay: true, playsInline: true, controls: true, src: resultAddress(result, file),
    onerror: () => { unplayable.textContent = t("result.unplayable"); },
  });
  const picture = (file) => h("img", { src: resultAddress(current, file), alt: t(`result.${file}`) });

  /** The clip, with the photo over it for as long as the button is held. */
  function large() {
    const photo = h("img.under", { src: resultAddress(current, "still"), alt: t("result.still"), hidden: true });
    const hold = (held) => () => show(photo, held);
    const button = h("button.secondary.hold", {
      type: "button", onpointerdown: hold(true), onpointerup: hold(false), onpointerleave: hold(false),
      onkeydown: (event) => [" ", "Enter"].includes(event.key) && hold(true)(), onkeyup: hold(false), onblur: hold(false),
    }, icon("photo"), t("result.hold"));
    return h("figure", {}, framed(current, video(current), photo), h("figcaption", {}, facts(current), button));
  }

  function shown() {
    if (other) {
      const [one, two] = [current, other].map((one) => figure(one, video(one), clipTitle(one, results)));
      const words = h("p.differences", {}, t("result.comparing"));
      differences(current, other).then((found) => { words.textContent = found; });
      return [...together(one, two), words];
    }
    if (tab === "landmarks") return [figure(current, video(current, tab), t("result.landmarks.help"))];
    if (tab !== "clip") return [figure(current, picture(tab), t(`result.${tab}.help`))];
    return [large()];
  }

  const download = (form, style) => h(style, { href: downloadAddress(current, form), download: "", "data-form": form }, icon("save"), t(`form.${form}`));

  /** The motion in the files of other models and tools. */
  function forOthers() {
    const wrong = h("p.notice", { role: "alert" });
    const take = async (result, form, button) => {
      wrong.textContent = "";
      button.disabled = true;
      try {
        const { content, name } = await exported(result, form);
        const address = URL.createObjectURL(content);
        saveAs(address, name);
        URL.revokeObjectURL(address);
      } catch (problem) {
        wrong.textContent = sentenceOf(problem);
      }
      button.disabled = false;
    };
    const buttons = OTHERS.map((form) => {
      const button = h("button.button", { type: "button", "data-for": form, onclick: () => take(current, form, button) }, t(`for.${form}`));
      return button;
    });
    return h("details.menu", {}, h("summary.button", {}, t("form.others")), h("div", {}, buttons, wrong));
  }

  function draw() {
    if (!current.files[tab]) tab = "clip";
    tabs.update();
    const landmarks = /** @type {HTMLElement} */ (tabs.element.querySelector("[data-value=landmarks]"));
    show(landmarks, Boolean(current.files.landmarks));
    title.value = current.title ?? "";
    title.placeholder = clipTitle(current, results);
    unplayable.textContent = "";
    stage.replaceChildren(...shown(), unplayable);
    stage.classList.toggle("comparing", Boolean(other));
    downloads.replaceChildren(makeShare(current), forOthers(), ...OTHER_FORMS.map((form) => download(form, "a.button")), download("mp4", "a.primary"));
    history_.replaceChildren(...results.map(entry));
    show(history_, results.length > 1);
  }

  function entry(result) {
    const comparing = other && result.name === other.name;
    const small = (key, picture_, action, pressed = "") => h("button.quiet", {
      type: "button", title: t(key), "aria-label": `${t(key)}: ${clipTitle(result, results)}`, "aria-pressed": pressed || null, onclick: action,
    }, icon(picture_));
    return h("div.entry", { role: "listitem", "aria-current": String(result.name === current.name) },
      h("button.thumbnail", { type: "button", title: facts(result), onclick: () => open(result) },
        h("img", { src: resultAddress(result, "thumbnail"), alt: "" }), h("span", {}, clipTitle(result, results))),
      h("div.entry-tools", {},
        result.name !== current.name && small("compare", "compare", () => {
          other = comparing ? null : result;
          tab = "clip";
          draw();
        }, String(Boolean(comparing))),
        small("delete", "trash", () => remove(result))));
  }

  function rename() {
    current.title = title.value.trim();
    nameClip(current.name, current.title);
    draw();
  }

  function remove(result) {
    deleteClip(result.name);
    const at = results.indexOf(result);
    results.splice(at, 1);
    if (other === result) other = null;
    if (!results.length) close();
    else if (current === result) open(results[Math.min(at, results.length - 1)]);
    else draw();
  }

  function open(result) {
    [current, other] = [result, null];
    if (history.state?.view !== "result") history.pushState({ view: "result" }, "");
    const already = isOpen;
    isOpen = true;
    show(element, true);
    draw();
    if (!already) element.focus();
    opened(true);
  }

  /** Goes back in the browser's history, which closes. */
  function close() {
    if (isOpen) history.back();
  }

  function useAgain() {
    const wanted = current;
    addEventListener("popstate", () => again(wanted), { once: true });
    close();
  }

  addEventListener("popstate", () => {
    if (!isOpen || history.state?.view === "result") return;
    isOpen = false;
    show(element, false);
    stage.replaceChildren();
    opened(false);
    // Keys go on with the photo.
    document.getElementById("canvas")?.focus({ preventScroll: true });
  }, { signal });
  signal.addEventListener("abort", () => stage.replaceChildren());

  /** The keys of this view; true when one was for it. */
  function key(event) {
    const player = stage.querySelector("video");
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") close();
    else if (event.key === " " && player) player[player.paused ? "play" : "pause"]();
    else if (step && !other) open(results[Math.min(results.length - 1, Math.max(0, results.indexOf(current) + step))]);
    else return false;
    return true;
  }

  return {
    element,
    key,
    close,
    open: () => results.length && open(current && results.includes(current) ? current : results[0]),
    add(result) {
      results.unshift(result);
      open(result);
    },
    get isOpen() {
      return isOpen;
    },
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
  const [one, two] = figures.map((figure) => /** @type {HTMLVideoElement} */ (figure.querySelector("video")));
  for (const [leader, follower] of [[one, two], [two, one]]) {
    leader.addEventListener("play", () => { if (follower.paused) follower.play(); });
    leader.addEventListener("pause", () => { if (!follower.paused) follower.pause(); });
  }
  one.addEventListener("timeupdate", () => {
    if (Math.abs(one.currentTime - two.currentTime) > 0.2 && one.currentTime < two.duration) two.currentTime = one.currentTime;
  });
  return figures;
}
