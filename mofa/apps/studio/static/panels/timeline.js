/** When everything moves: a row per control with its bar, and the playhead of the picture. */

import { timeOf } from "../canvas/curve.js";
import { h, show, svg } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { nameOf } from "../state/names.js";
import { isAnchor, kindOf } from "../state/scene.js";
import { t } from "../state/texts.js";
import { easePath } from "./easing.js";

/** Screen pixels that a row's name is dragged before it is taken out of its place. */
const LOOSE = 6;
/** Milliseconds between two presses that are one double-click. */
const TWICE = 450;

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/player.js").Player} player
 * @param {import("../state/sounds.js").Sounds} sounds
 * @param {AbortSignal} signal ends it
 */
export function makeTimeline(store, player, sounds, signal) {
  const play = h("button.round", { type: "button", id: "play", onclick: () => player.toggle() });
  const clock = h("output.clock");
  const head = h("div.playhead");
  const ruler = h("div.ruler", { title: t("timeline.seek") });
  const rows = h("div.rows");
  const lanes = h("div.lanes", {}, ruler, rows, head);
  const empty = h("p.empty", {}, t("timeline.empty"));
  const element = h("section.timeline", { "aria-label": t("timeline") },
    h("div.transport", {}, play, clock), lanes, empty);
  /** The row whose name is being written. @type {number | null} */
  let renaming = null;

  const last = () => store.document.frames - 1;
  const frameAt = (event) => {
    const { left, width } = ruler.getBoundingClientRect();
    return Math.min(last(), Math.max(0, ((event.clientX - left) / width) * last()));
  };
  dragged(ruler, (event) => player.seek(Math.round(frameAt(event))));

  const showFrame = () => {
    const { frame } = player;
    head.style.setProperty("--at", String(frame / last()));
    const { fps, frames } = store.document;
    const text = t("timeline.clock", { now: (frame / fps).toFixed(1), all: (frames / fps).toFixed(1) });
    if (clock.textContent !== text) clock.textContent = text;
  };

  const select = (control, event) => {
    if (event?.shiftKey || event?.ctrlKey || event?.metaKey) store.chooseAlso(control.id);
    else store.look({ selected: control.id, also: [], point: null, spared: null });
  };

  const bar = (control) => {
    const lane = h("div.lane");
    const start = h("span.grip.start", gripAttributes(t("timeline.start"), control.start, last()));
    const end = h("span.grip.end", gripAttributes(t("timeline.end"), control.end ?? last(), last()));
    const curve = svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", class: "ease-line" },
      svg("path", { d: easePath(control.ease, 100, 20, control.thereAndBack) }));
    const body = h("div.bar", {}, start, curve, control.kind === "transform" ? control.keys.map((key) => moment(control, key)) : null, end);
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
      if (control.locked) return;
      const [from, to] = ends();
      const grip = /** @type {Element} */ (down.target).closest(".grip");
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
      select(control, down);
    });
    lane.append(body);
    return lane;
  };

  /** A moment at which a thing has a pose of its own: a click goes there, a double-click takes it away. */
  const moment = (control, key) => {
    const time = timeOf(control, key.at);
    const frame = Math.round(control.start + time * ((control.end ?? last()) - control.start));
    const element = h("button.moment", {
      type: "button", title: t("timeline.moment"), "aria-label": `${t("timeline.moment")} ${Math.round(100 * key.at)} %`,
      onclick: () => player.seek(frame), onpointerdown: (event) => event.stopPropagation(),
      ondblclick: () => control.keys.length > 1 && store.editControl(control.id, { keys: control.keys.filter((other) => other !== key) }),
    });
    element.style.left = `${100 * time}%`;
    return element;
  };

  const nameField = (control, name) => {
    const done = (keep) => {
      if (renaming !== control.id) return;
      renaming = null;
      const wished = input.value.trim();
      if (keep && wished !== name) store.editControl(control.id, { name: wished || undefined });
      else drawAnew();
    };
    const input = h("input.rename", {
      type: "text", maxLength: 40, value: name, "aria-label": t("rename"), onblur: () => done(true),
      onkeydown: (event) => {
        if (event.key === "Enter") done(true);
        else if (event.key === "Escape") done(false);
        event.stopPropagation();
      },
    });
    requestAnimationFrame(() => input.select());
    return input;
  };

  const rename = ({ id }) => {
    renaming = id;
    drawAnew();
  };

  let pressed = { id: -1, at: 0 };
  /** A mouse says itself that it has pressed twice, however long we took for the first time. */
  let twice = false;
  rows.addEventListener("mousedown", (event) => { twice = event.detail === 2; });
  /** Lets a row be taken by its name to another place. */
  const reordering = (control, title) => title.addEventListener("pointerdown", (down) => {
    let loose = false;
    followed(lanes, down, (event) => {
      loose ||= Math.abs(event.clientY - down.clientY) > LOOSE;
      const others = /** @type {HTMLElement[]} */ ([...rows.children]);
      const over = others.findIndex((row) => {
        const { top, bottom } = row.getBoundingClientRect();
        return event.clientY >= top && event.clientY < bottom;
      });
      const from = store.document.controls.findIndex(({ id }) => id === control.id);
      if (loose && over >= 0 && over !== from) store.moveControl(from, over);
    }, () => {
      if (loose) return;
      select(control, down);
      // The row is drawn anew between two presses, so that no double-click reaches it.
      if (pressed.id === control.id && (twice || down.timeStamp - pressed.at < TWICE)) rename(control);
      pressed = { id: control.id, at: down.timeStamp };
    });
  });

  const row = (control) => {
    const selected = store.chosen.some(({ id }) => id === control.id);
    const name = nameOf(control, store.document);
    const swatch = h("span.swatch", {}, kindOf(control) === "track" ? null : icon(KIND_ICONS[kindOf(control)]));
    swatch.style.setProperty("--colour", control.colour);
    const title = h("button.title", {
      type: "button", title: t("timeline.row"), onclick: (event) => !event.detail && select(control, event),
    }, swatch, h("span", {}, name));
    reordering(control, title);
    const tool = (key, picture, pressed, action) => h("button.quiet", {
      type: "button", title: t(key), "aria-label": `${t(key)}: ${name}`, "aria-pressed": pressed === null ? null : String(pressed), onclick: action,
    }, icon(picture));
    const set = (change) => store.editControl(control.id, change);
    const { controls } = store.document;
    const solo = controls.length > 1 && controls.every((other) => Boolean(other.hidden) === (other.id !== control.id));
    const alone = () => store.editControls(controls.map(({ id }) => id), ({ id }) => ({ hidden: !solo && id !== control.id }));
    const hide = (event) => (event.altKey ? alone() : set({ hidden: !control.hidden }));
    const byTouch = (button) => {
      button.classList.add("by-touch");
      return button;
    };
    return h("div.row", { "data-selected": String(selected), "data-control": String(control.id), "data-hidden": String(Boolean(control.hidden)) },
      renaming === control.id ? nameField(control, name) : title,
      wordsFor(control) ?? bar(control),
      h("div.row-tools", {},
        tool("timeline.hide", control.hidden ? "hidden" : "eye", Boolean(control.hidden), hide),
        byTouch(tool("timeline.solo", "solo", solo, alone)),
        tool("timeline.lock", "lock", Boolean(control.locked), () => set({ locked: !control.locked })),
        byTouch(tool("rename", "rename", null, () => rename(control))),
        tool("delete", "close", null, () => store.removeControls([control.id]))));
  };

  /** What stands in place of a bar where a control has no timing of its own. */
  function wordsFor(control) {
    if (isAnchor(control)) return h("div.lane", {}, h("span.still", {}, t("timeline.still")));
    if (control.kind === "still" || control.kind === "sway") {
      return h("div.lane", {}, h("span.still", {}, control.kind === "sway" ? t(`sway.${control.like}`) : t("timeline.stays")));
    }
    if (control.kind !== "landmarks") return null;
    const wave = control.source === "speech" ? sounds.wave(control.file, store.document) : null;
    const words = h("span.still", {}, control.transcript || t(`timeline.${control.source}`));
    if (!wave) return h("div.lane", {}, words);
    const picture = svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", class: "wave" }, svg("path", { d: wave }));
    picture.style.setProperty("--colour", control.colour);
    return h("div.lane", { title: control.transcript || t("timeline.speech") }, picture, control.transcript && h("span.spoken", {}, control.transcript));
  }

  /** @type {unknown[] | null} */
  let drawn = null;
  const drawAnew = () => {
    drawn = null;
    update();
  };
  const update = () => {
    const { document, view } = store;
    const key = [document, view.selected, view.also];
    if (key.every((part, k) => part === drawn?.[k])) return;
    // A name that is being written stays under the hand, whatever else changes; its end draws the rows anew.
    if (renaming !== null && rows.querySelector("input.rename")) return;
    // Rows that came now would take their room from the photo, which must not move under the hand.
    if (view.drawing) return;
    drawn = key;
    const focused = focusIn(rows);
    rows.replaceChildren(...document.controls.map(row));
    focused();
    show(empty, document.controls.length === 0);
    show(lanes, document.controls.length > 0);
    showFrame();
  };
  const showState = () => {
    const word = player.playing ? "pause" : "play";
    play.replaceChildren(icon(word));
    play.setAttribute("aria-label", t(word));
    play.title = `${t(word)} (${t("key.space")})`;
  };
  player.addEventListener("frame", showFrame, { signal });
  player.addEventListener("state", showState, { signal });
  sounds.addEventListener("change", drawAnew, { signal });
  store.subscribe(update);
  update();
  showState();
  return element;
}

const KIND_ICONS = { anchor: "anchor", camera: "camera", reference: "film", tracks: "waves", landmarks: "face", transform: "transform", sway: "sway", still: "still" };

const gripAttributes = (label, value, most) => ({
  role: "slider", tabindex: "0", "aria-label": label, "aria-valuenow": String(value), "aria-valuemin": "0", "aria-valuemax": String(most),
});

function byKeys(element, step) {
  element.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    step(way * (event.shiftKey ? 5 : 1));
  });
}

/** Calls back while the pointer that went down moves, wherever it goes, and once it is let go. */
function followed(element, down, moved, over = () => {}) {
  element.setPointerCapture(down.pointerId);
  element.addEventListener("pointermove", moved);
  element.addEventListener("lostpointercapture", () => {
    element.removeEventListener("pointermove", moved);
    over();
  }, { once: true });
}

function dragged(element, moved) {
  element.addEventListener("pointerdown", (down) => {
    moved(down);
    followed(element, down, moved);
  });
}

/** Remembers which element has the focus; returns what gives it to its successor. */
function focusIn(rows) {
  const focused = document.activeElement;
  const inside = /** @type {HTMLElement | null} */ (focused?.closest("[data-control]") ?? null);
  if (!focused || !inside || !rows.contains(inside)) return () => {};
  const index = [...inside.querySelectorAll("button, .grip")].indexOf(focused);
  const successors = () => rows.querySelector(`[data-control="${inside.dataset.control}"]`)?.querySelectorAll("button, .grip");
  return () => /** @type {HTMLElement | undefined} */ (successors()?.[index])?.focus();
}
