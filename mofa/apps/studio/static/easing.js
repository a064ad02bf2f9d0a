/** The easing of a control: presets, and a small curve whose middle can be dragged. */

import { eased } from "./curve.js";
import { h, svg } from "./dom.js";
import { t } from "./texts.js";

const EASES = ["linear", "in", "out", "in-out"];
const SIDE = 100;
const STEPS = 32;

/** The path of an easing's curve in a box of this size, time to the right, progress upwards. */
export function easePath(ease, width, height, thereAndBack = false) {
  const places = Array.from({ length: STEPS + 1 }, (_, k) => {
    const time = k / STEPS;
    const done = eased(ease, thereAndBack ? 1 - Math.abs(2 * time - 1) : time);
    return `${(time * width).toFixed(1)} ${((1 - done) * height).toFixed(1)}`;
  });
  return `M${places.join("L")}`;
}

/**
 * @param {() => import("./scene.js").Timed | null} get
 * @param {(change: object, gesture?: unknown) => void} set
 */
export function makeEasing(get, set) {
  const buttons = EASES.map((ease) => h(
    "button.ease", { type: "button", title: t(`ease.${ease}`), "aria-label": t(`ease.${ease}`), "data-ease": ease, onclick: () => set({ ease }) },
    svg("svg", { viewBox: "-3 -3 30 30" }, svg("path", { d: easePath(ease, 24, 24) })),
  ));
  const curve = svg("path", { class: "curve" });
  const handle = svg("circle", { r: 6, tabindex: 0, role: "slider", "aria-label": t("ease.custom") });
  const box = svg("svg", { viewBox: `-8 -8 ${SIDE + 16} ${SIDE + 16}`, class: "ease-box" },
    svg("rect", { width: SIDE, height: SIDE }), curve, handle);
  const middle = () => {
    const { ease } = get();
    const [time] = Array.isArray(ease) ? ease.find(([place]) => place > 0) : [0.5];
    return [time, eased(ease, time)];
  };
  const bend = (time, done, gesture) => {
    const held = (value) => Math.round(Math.min(0.95, Math.max(0.05, value)) * 100) / 100;
    set({ ease: [[held(time), held(done)], [1, 1]] }, gesture);
  };
  handle.addEventListener("pointerdown", (down) => {
    const gesture = {};
    handle.setPointerCapture(down.pointerId);
    handle.onpointermove = (event) => {
      const { left, top, width, height } = box.getBoundingClientRect();
      const scale = (SIDE + 16) / SIDE;
      const edge = 8 / SIDE;
      bend(((event.clientX - left) / width) * scale - edge, 1 + edge - ((event.clientY - top) / height) * scale, gesture);
    };
  });
  handle.addEventListener("pointerup", () => { handle.onpointermove = null; });
  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const [time, done] = middle();
    bend(time + 0.05 * way[0], done + 0.05 * way[1], "bend by keys");
  });
  const update = () => {
    const control = get();
    if (!control) return;
    curve.setAttribute("d", easePath(control.ease, SIDE, SIDE));
    const [time, done] = middle();
    handle.setAttribute("cx", time * SIDE);
    handle.setAttribute("cy", (1 - done) * SIDE);
    handle.setAttribute("aria-valuenow", done.toFixed(2));
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.ease === control.ease));
  };
  return { element: h("div.easing", {}, h("div.eases", {}, buttons), box), update };
}
