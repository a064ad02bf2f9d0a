/** When everything moves: a row per control with its bar, and a playhead for the ghosts. */

import { h, show, svg } from "./dom.js";
import { easePath } from "./easing.js";
import { icon } from "./icons.js";
import { kindOf, nameOf } from "./names.js";
import { isAnchor } from "./scene.js";
import { t } from "./texts.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./stage.js").Stage} stage
 */
export function makeTimeline(store, stage) {
  const play = h("button.round", { type: "button", onclick: () => store.look({ playing: !store.view.playing }) });
  const clock = h("output.clock");
  const head = h("div.playhead");
  const ruler = h("div.ruler", { title: t("timeline.seek") });
  const rows = h("div.rows");
  const lanes = h("div.lanes", {}, ruler, rows, head);
  const empty = h("p.empty", {}, t("timeline.empty"));
  const element = h("section.timeline", { "aria-label": t("timeline") },
    h("div.transport", {}, play, clock), lanes, empty);

  const last = () => store.document.frames - 1;
  const frameAt = (event) => {
    const { left, width } = ruler.getBoundingClientRect();
    return Math.min(last(), Math.max(0, ((event.clientX - left) / width) * last()));
  };
  dragged(ruler, (event) => stage.seek(Math.round(frameAt(event))));

  stage.onframe = (frame) => {
    head.style.setProperty("--at", String(frame / last()));
    const { fps, frames } = store.document;
    const text = t("timeline.clock", { now: (frame / fps).toFixed(1), all: (frames / fps).toFixed(1) });
    if (clock.textContent !== text) clock.textContent = text;
  };

  const select = (control) => store.look({ selected: control.id, point: null });

  const bar = (control) => {
    const lane = h("div.lane");
    const start = h("span.grip.start", gripAttributes(t("timeline.start"), control.start));
    const end = h("span.grip.end", gripAttributes(t("timeline.end"), control.end ?? last()));
    const curve = svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", class: "ease-line" },
      svg("path", { d: easePath(control.ease, 100, 20, control.thereAndBack) }));
    const body = h("div.bar", {}, start, curve, end);
    const [first, final] = [control.start / last(), (control.end ?? last()) / last()];
    body.style.left = `${100 * first}%`;
    body.style.width = `${100 * (final - first)}%`;
    body.style.setProperty("--colour", control.colour);
    const set = (from, to, gesture) => {
      const begin = Math.min(last() - 1, Math.max(0, Math.round(from)));
      const finish = Math.min(last(), Math.max(begin + 1, Math.round(to)));
      store.editControl(control.id, { start: begin, end: finish === last() ? null : finish }, gesture);
    };
    const ends = () => [control.start, control.end ?? last()];
    byKeys(start, (step) => set(Math.min(ends()[0] + step, ends()[1] - 1), ends()[1], `start ${control.id}`));
    byKeys(end, (step) => set(ends()[0], ends()[1] + step, `end ${control.id}`));
    // The row is drawn anew with every edit, so the whole drag is followed from the lanes.
    body.addEventListener("pointerdown", (down) => {
      const [from, to] = ends();
      const grip = down.target.closest(".grip");
      const begin = frameAt(down);
      const gesture = {};
      followed(lanes, down, (event) => {
        const shift = Math.round(frameAt(event) - begin);
        if (grip === start) set(Math.min(from + shift, to - 1), to, gesture);
        else if (grip === end) set(from, to + shift, gesture);
        else {
          const kept = Math.min(last() - to, Math.max(-from, shift));
          set(from + kept, to + kept, gesture);
        }
      });
      select(control);
    });
    lane.append(body);
    return lane;
  };

  const row = (control) => {
    const selected = control.id === store.view.selected;
    const name = nameOf(control, store.document);
    const swatch = h("span.swatch", {}, kindOf(control) === "track" ? null : icon(KIND_ICONS[kindOf(control)]));
    swatch.style.setProperty("--colour", control.colour);
    return h("div.row", {
      "aria-selected": String(selected), "data-control": String(control.id),
    },
    h("button.title", { type: "button", onclick: () => select(control) }, swatch, name),
    wordsFor(control) ? h("div.lane", {}, h("span.still", {}, wordsFor(control))) : bar(control),
    h("button.quiet", {
      type: "button", title: t("delete"), "aria-label": `${t("delete")}: ${name}`,
      onclick: () => store.editControl(control.id, null),
    }, icon("close")));
  };

  let drawn = null;
  const update = () => {
    const { document, view } = store;
    play.replaceChildren(icon(view.playing ? "pause" : "play"));
    play.setAttribute("aria-label", t(view.playing ? "pause" : "play"));
    play.title = `${t(view.playing ? "pause" : "play")} (${t("key.space")})`;
    const key = [document, view.selected];
    if (drawn && key.every((part, k) => part === drawn[k])) return;
    drawn = key;
    const focused = focusIn(rows);
    rows.replaceChildren(...document.controls.map(row));
    focused();
    show(empty, document.controls.length === 0);
    show(lanes, document.controls.length > 0);
    stage.onframe(Math.min(view.frame, last()));
  };
  store.subscribe(update);
  update();
  return element;
}

/** What stands in place of a bar where a control has no timing of its own. */
function wordsFor(control) {
  if (isAnchor(control)) return t("timeline.still");
  return control.kind === "landmarks" ? t(`timeline.${control.source}`) : null;
}

const KIND_ICONS = { anchor: "anchor", camera: "camera", reference: "film", tracks: "waves", landmarks: "face" };

const gripAttributes = (label, value) => ({ role: "slider", tabindex: "0", "aria-label": label, "aria-valuenow": String(value) });

function byKeys(element, step) {
  element.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    step(way * (event.shiftKey ? 5 : 1));
  });
}

/** Calls back while the pointer that went down moves, wherever it goes. */
function followed(element, down, moved) {
  element.setPointerCapture(down.pointerId);
  element.addEventListener("pointermove", moved);
  element.addEventListener("lostpointercapture", () => element.removeEventListener("pointermove", moved), { once: true });
}

function dragged(element, moved) {
  element.addEventListener("pointerdown", (down) => {
    moved(down);
    followed(element, down, moved);
  });
}

/** Remembers which element has the focus; returns what gives it to its successor. */
function focusIn(rows) {
  const inside = document.activeElement?.closest?.("[data-control]");
  if (!inside || !rows.contains(inside)) return () => {};
  const path = [inside.dataset.control, [...inside.querySelectorAll("button, .grip")].indexOf(document.activeElement)];
  return () => rows.querySelector(`[data-control="${path[0]}"]`)?.querySelectorAll("button, .grip")[path[1]]?.focus();
}
