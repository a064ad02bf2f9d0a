/** The easing of a control: presets, and a curve with as many points as somebody wants. */

import { eased } from "../canvas/curve.js";
import { h, svg } from "../elements/dom.js";
import { t } from "../state/texts.js";

const EASES = ["linear", "in", "out", "in-out"];
const SIDE = 100;
const STEPS = 48;
const EDGE = 8;
/** Pixels that a finger may miss a point by. */
const FINGER = 22;
/** How near two points of the curve may come, in time. */
const APART = 0.02;

/** The path of an easing's curve in a box of this size, time to the right, progress upwards. */
export function easePath(ease, width, height, thereAndBack = false) {
  const places = Array.from({ length: STEPS + 1 }, (_, k) => {
    const time = k / STEPS;
    const done = eased(ease, thereAndBack ? 1 - Math.abs(2 * time - 1) : time);
    return `${(time * width).toFixed(1)} ${((1 - done) * height).toFixed(1)}`;
  });
  return `M${places.join("L")}`;
}

/** The points of an easing between its beginning and its end: a preset has one, half-way. */
function innerPoints(ease) {
  return Array.isArray(ease) ? ease.filter(([time]) => time > 0 && time < 1) : [[0.5, eased(ease, 0.5)]];
}

/**
 * @param {() => any} get the control
 * @param {(change: object, gesture?: unknown) => void} set
 */
export function makeEasing(get, set) {
  const buttons = EASES.map((ease) => h(
    "button.ease", { type: "button", title: t(`ease.${ease}`), "data-ease": ease, onclick: () => set({ ease }) },
    svg("svg", { viewBox: "-3 -3 30 30" }, svg("path", { d: easePath(ease, 24, 24) })), h("span", {}, t(`ease.${ease}.short`)),
  ));
  const byHand = h("button.text", { type: "button", title: t("ease.hand.help"), "data-ease": "hand", onclick: () => set({ ease: get().hand }) }, t("ease.hand"));
  const curve = svg("path", { class: "curve" });
  const handles = svg("g");
  const box = svg("svg", { viewBox: `${-EDGE} ${-EDGE} ${SIDE + 2 * EDGE} ${SIDE + 2 * EDGE}`, class: "ease-box" },
    svg("title", {}, t("ease.custom")), svg("rect", { width: SIDE, height: SIDE }), curve, handles);

  const held = (value, least = 0, most = 1) => Math.round(Math.min(most, Math.max(least, value)) * 100) / 100;
  /** @returns {[number, number]} */
  const placeOf = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    const scale = (SIDE + 2 * EDGE) / SIDE;
    return [((event.clientX - left) / width) * scale - EDGE / SIDE, 1 + EDGE / SIDE - ((event.clientY - top) / height) * scale];
  };
  const write = (points, gesture) => set({ ease: [...points, [1, 1]] }, gesture);
  const move = (points, index, [time, done], gesture) => {
    const [before, after] = [points[index - 1]?.[0] ?? 0, points[index + 1]?.[0] ?? 1];
    write(points.with(index, [held(time, before + APART, after - APART), held(done)]), gesture);
  };
  const remove = (points, index) => (points.length > 1 ? write(points.filter((_, k) => k !== index), null) : set({ ease: "linear" }));

  const handle = (points, index) => {
    const [time, done] = points[index];
    const circle = svg("circle", {
      r: "6", cx: String(time * SIDE), cy: String((1 - done) * SIDE), tabindex: "0", role: "slider", "aria-label": t("ease.custom"),
      "aria-valuenow": done.toFixed(2), "aria-valuemin": "0", "aria-valuemax": "1", "data-index": String(index),
    });
    circle.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (event.key === "Delete") remove(points, index);
      else if (way) move(points, index, [time + 0.05 * way[0], done + 0.05 * way[1]], "bend by keys");
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return circle;
  };

  const underFinger = ({ clientX, clientY }) => [...handles.children].find((circle) => {
    const { left, top, width, height } = circle.getBoundingClientRect();
    return Math.hypot(left + width / 2 - clientX, top + height / 2 - clientY) <= FINGER;
  });

  // The handles are drawn anew with every edit, so the drag is followed from the box.
  box.addEventListener("pointerdown", (down) => {
    const gesture = {};
    let points = innerPoints(get().ease);
    const pressed = /** @type {Element} */ (down.target).closest("circle") ?? (down.pointerType === "touch" ? underFinger(down) : null);
    let index = Number(pressed?.getAttribute("data-index") ?? -1);
    if (index < 0) {
      const [time, done] = placeOf(down);
      if (time <= APART || time >= 1 - APART) return;
      points = [...points, [held(time), held(done)]].sort((a, b) => a[0] - b[0]);
      index = points.findIndex((point) => point[0] === held(time));
      write(points, gesture);
    }
    box.setPointerCapture(down.pointerId);
    box.onpointermove = (event) => move(innerPoints(get().ease), index, placeOf(event), gesture);
  });
  box.addEventListener("lostpointercapture", () => { box.onpointermove = null; });
  box.addEventListener("dblclick", (event) => {
    const circle = /** @type {Element} */ (event.target).closest("circle");
    if (circle) remove(innerPoints(get().ease), Number(circle.getAttribute("data-index")));
  });

  const update = () => {
    const control = get();
    const points = innerPoints(control.ease);
    curve.setAttribute("d", easePath(control.ease, SIDE, SIDE));
    const focused = handles.contains(document.activeElement) ? document.activeElement?.getAttribute("data-index") : null;
    handles.replaceChildren(...points.map((_, index) => handle(points, index)));
    if (focused) /** @type {SVGElement | null} */ (handles.querySelector(`[data-index="${focused}"]`))?.focus();
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.ease === control.ease));
    byHand.hidden = !control.hand;
    byHand.setAttribute("aria-pressed", String(control.ease === control.hand));
  };
  return { element: h("div.easing", {}, h("div.eases", {}, buttons), box, byHand), update };
}
