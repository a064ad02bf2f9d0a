/**
 * Tools that make and change tracks. A tool's `down` returns the gesture it begins, or null.
 * @typedef {{move?: (point: Point, event: PointerEvent) => void, up?: (point: Point, event: PointerEvent) => void,
 *   cancel?: () => void}} Gesture
 * @typedef {[number, number]} Point in picture pixels
 * @typedef {{store: import("./store.js").Store, viewport: import("./viewport.js").Viewport,
 *   redraw: () => void, message: (text: string) => void}} Stage
 */

import { nearestOn, simplified } from "./curve.js";
import { isAnchor, newControl } from "./scene.js";

const FINGER = 20;
const MOUSE = 11;
const CLICK = 5;
const CURVE_TOLERANCE = 2.5;

const reach = (stage, event) => (event.pointerType === "touch" ? FINGER : MOUSE) / stage.viewport.scale;
const apart = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
const tracksOf = (store) => store.document.controls.filter((control) => control.kind === "track");

/** The point of a track under the pointer; those of the selected track come first. */
function pointAt(stage, point, event) {
  const { store } = stage;
  const limit = reach(stage, event);
  const ordered = tracksOf(store).sort((a, b) => (b.id === store.view.selected) - (a.id === store.view.selected));
  for (const control of ordered) {
    const index = control.points.findIndex((place) => apart(place, point) <= limit);
    if (index >= 0) return { control, index };
  }
  return null;
}

/** The track whose curve is under the pointer, the uppermost first. */
function curveAt(stage, point, event) {
  return tracksOf(stage.store).reverse()
    .filter((control) => !isAnchor(control))
    .map((control) => ({ control, ...nearestOn(control.points, point) }))
    .find(({ distance }) => distance <= reach(stage, event)) ?? null;
}

/** Drags points: all of a track's, or one. */
function dragging(stage, control, index, start) {
  const gesture = {};
  const origin = control.points;
  return {
    move: (point) => {
      const [dx, dy] = [point[0] - start[0], point[1] - start[1]];
      const points = origin.map(([x, y], k) =>
        index === null || k === index ? stage.viewport.inside([x + dx, y + dy]) : [x, y]);
      stage.store.editControl(control.id, { points }, gesture);
    },
  };
}

/** Takes hold of what is under the pointer, if it is a track. */
function grabbed(stage, point, event) {
  const handle = pointAt(stage, point, event);
  if (handle) {
    stage.store.look({ selected: handle.control.id, point: handle.index });
    return dragging(stage, handle.control, handle.index, point);
  }
  return null;
}

export const selectTool = {
  cursor: "default",
  down(stage, point, event) {
    const handle = grabbed(stage, point, event);
    if (handle) return handle;
    const curve = curveAt(stage, point, event);
    if (curve) {
      stage.store.look({ selected: curve.control.id, point: null });
      return dragging(stage, curve.control, null, point);
    }
    stage.store.look({ selected: null, point: null });
    return null;
  },
};

export const drawTool = {
  cursor: "crosshair",
  down(stage, point, event) {
    const { store } = stage;
    const drafting = store.view.drafting;
    if (!drafting) {
      const handle = grabbed(stage, point, event);
      if (handle) return handle;
    }
    if (!drafting && !stage.viewport.contains(point)) return null;
    const held = stage.viewport.inside(point);
    const stroke = [held];
    let drawn = false;
    return {
      move(place) {
        stroke.push(stage.viewport.inside(place));
        drawn ||= !drafting && apart(place, held) * stage.viewport.scale > CLICK;
        if (drawn) store.look({ drafting: stroke });
      },
      up() {
        if (drawn) {
          store.look({ drafting: null });
          addTrack(store, simplified(stroke, CURVE_TOLERANCE / stage.viewport.scale));
        } else click(stage, held, event);
      },
      cancel: () => store.look({ drafting }),
    };
  },
};

function click(stage, point, event) {
  const { store, viewport } = stage;
  const drafting = store.view.drafting ?? [];
  const last = drafting[drafting.length - 1];
  if (last && apart(last, point) * viewport.scale <= CLICK) {
    finishDraft(store);
    return;
  }
  const curve = drafting.length ? null : curveAt(stage, point, event);
  if (curve) store.look({ selected: curve.control.id, point: null });
  else store.look({ drafting: [...drafting, point] });
}

/** Makes a track of the points clicked so far; fewer than two are dropped. */
export function finishDraft(store) {
  const points = store.view.drafting;
  store.look({ drafting: null });
  if (points?.length > 1) addTrack(store, points);
}

function addTrack(store, points) {
  store.add(newControl(store.document, { kind: "track", points }));
}

export const anchorTool = {
  cursor: "crosshair",
  down(stage, point, event) {
    const handle = grabbed(stage, point, event);
    if (handle) return handle;
    if (!stage.viewport.contains(point)) return null;
    // Not before the finger is lifted: with a second one it was the beginning of a zoom.
    return { up: () => addTrack(stage.store, [stage.viewport.inside(point)]) };
  },
};

/** A new point on the curve under the pointer. */
export function insertPoint(stage, point, event) {
  const curve = curveAt(stage, point, event);
  if (!curve) return;
  const points = [...curve.control.points];
  points.splice(curve.leg + 1, 0, point);
  stage.store.editControl(curve.control.id, { points });
  stage.store.look({ selected: curve.control.id, point: curve.leg + 1 });
}

/** Deletes the selected point, or the control when no point is selected or none would be left. */
export function deleteSelected(store) {
  const control = store.selected;
  if (!control) return;
  const { point } = store.view;
  if (control.kind === "track" && point !== null && control.points.length > 2) {
    store.editControl(control.id, { points: control.points.filter((_, k) => k !== point) });
    store.look({ point: null });
  } else store.editControl(control.id, null);
}

/** A copy of the selected control, a little aside. */
export function duplicateSelected(stage) {
  const { store, viewport } = stage;
  const control = store.selected;
  if (!control) return;
  const aside = 24 / viewport.scale;
  const points = control.points?.map(([x, y]) => viewport.inside([x + aside, y + aside]));
  const { id, colour, ...rest } = control;
  store.add(newControl(store.document, points ? { ...rest, points } : rest));
}

/** Moves the selected point or track by so many picture pixels. */
export function nudgeSelected(stage, dx, dy) {
  const { store, viewport } = stage;
  const control = store.selected;
  if (control?.kind !== "track") return;
  const { point } = store.view;
  const points = control.points.map(([x, y], k) =>
    point === null || k === point ? viewport.inside([x + dx, y + dy]) : [x, y]);
  store.editControl(control.id, { points }, `nudge ${control.id}`);
}

/** Moves the selected control up or down in the order, in which later ones win. */
export function reorderSelected(store, step) {
  const controls = [...store.document.controls];
  const from = controls.findIndex((control) => control.id === store.view.selected);
  const to = from + step;
  if (from < 0 || to < 0 || to >= controls.length) return;
  controls.splice(to, 0, ...controls.splice(from, 1));
  store.edit({ controls });
}
