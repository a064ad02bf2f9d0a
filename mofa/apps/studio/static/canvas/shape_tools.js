/**
 * Tools that make and change tracks. A tool's `down` returns the gesture it begins, or null.
 * @typedef {{move?: (point: Point, event: PointerEvent) => void, up?: (point: Point, event: PointerEvent) => void,
 *   cancel?: () => void, changes?: boolean}} Gesture `changes`: what it does is to be seen moving afterwards
 * @typedef {[number, number]} Point in picture pixels
 * @typedef {import("./stage.js").Stage} Stage
 */

import { copied, isAnchor, newControl } from "../state/scene.js";
import { parsed, selectionAt } from "../state/selection.js";
import { covers } from "../state/things.js";
import { nearestOn, paceOf, simplified } from "./curve.js";

const FINGER = 22;
const MOUSE = 11;
const CLICK = 5;
const CURVE_TOLERANCE = 2.5;
const TOOLS_THAT_GRAB = ["draw", "select", "anchor"];

const reach = (stage, event) => (event.pointerType === "touch" ? FINGER : MOUSE) / stage.viewport.scale;
const apart = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
/** Tracks that can be taken hold of. */
const tracksOf = (store) => store.document.controls.filter((control) => control.kind === "track" && !control.hidden && !control.locked);

/** The point of a track under the pointer; those of the selected track come first. */
function pointAt(stage, point, event) {
  const { store } = stage;
  const limit = reach(stage, event);
  const ordered = tracksOf(store).sort((a, b) => Number(b.id === store.view.selected) - Number(a.id === store.view.selected));
  for (const control of ordered) {
    const away = control.points.map((place) => apart(place, point));
    const index = away.indexOf(Math.min(...away));
    if (away[index] <= limit) return { control, index };
  }
  return null;
}

/**
 * What a press would take hold of: shown before it happens. Alt presses through it.
 * @param {Stage} stage
 */
export function hoveredPoint(stage, point, event) {
  const { tool, drafting } = stage.store.view;
  return TOOLS_THAT_GRAB.includes(tool) && !drafting && !event.altKey ? pointAt(stage, point, event) : null;
}

/** The track whose curve is under the pointer, the uppermost first. */
function curveAt(stage, point, event) {
  return tracksOf(stage.store).reverse()
    .filter((control) => !isAnchor(control))
    .map((control) => ({ control, ...nearestOn(control.points, point) }))
    .find(({ distance }) => distance <= reach(stage, event)) ?? null;
}

/** Drags points: one of a track's, or all of those of every selected track. */
function dragging(stage, control, index, start) {
  const { store } = stage;
  const gesture = {};
  const before = store.document;
  const moved = index === null ? store.chosen.filter((one) => one.kind === "track" && !one.locked) : [control];
  const origins = new Map(moved.map((one) => [one.id, one.points]));
  return {
    changes: true,
    move: (point) => {
      const [dx, dy] = [point[0] - start[0], point[1] - start[1]];
      store.editControls([...origins.keys()], ({ id }) => ({
        points: origins.get(id).map(([x, y], k) => (index === null || k === index ? stage.viewport.inside([x + dx, y + dy]) : [x, y])),
      }), gesture);
    },
    up: () => {
      if (store.document !== before) follow(stage, [...origins.keys()], gesture);
    },
    cancel: () => store.takeBack(before, gesture),
  };
}

/**
 * What a line moves is what it begins on: one that was taken to another place moves what is there.
 * @param {Stage} stage
 * @param {number[]} ids
 * @param {unknown} gesture
 */
function follow(stage, ids, gesture) {
  const { store, things, regions } = stage;
  const picture = /** @type {import("../state/scene.js").Picture} */ (store.document.picture);
  for (const control of store.document.controls) {
    if (!ids.includes(control.id) || control.kind !== "track" || !control.region || !("select" in control.region)) continue;
    const { on, beside, level } = parsed(control.region.select, picture);
    const [start] = control.points;
    const known = regions.canvas(control.region, picture);
    // What somebody has put together click by click is meant as it is.
    if (on.length + beside.length > 1 || !known || covers(known, start, picture)) continue;
    const settle = () => {
      const thing = things.at(picture, start);
      if (thing === "looking") {
        things.addEventListener("change", settle, { once: true });
        return;
      }
      const now = store.document.controls.find(({ id }) => id === control.id);
      if (now?.kind !== "track" || now.points[0] !== start) return;
      const meant = typeof thing === "object" && things.meant(thing);
      store.editControl(control.id, { region: meant ? { select: level === "part" ? selectionAt(start, "part") : thing.select } : null }, gesture);
    };
    settle();
  }
}

/** Takes hold of the point under the pointer, if there is one. */
function grabbed(stage, point, event) {
  const handle = hoveredPoint(stage, point, event);
  if (!handle) return null;
  stage.store.look({ selected: handle.control.id, also: [], point: handle.index });
  return dragging(stage, handle.control, handle.index, point);
}

export const selectTool = {
  cursor: "default",
  down(stage, point, event) {
    const { store } = stage;
    const handle = event.shiftKey ? null : grabbed(stage, point, event);
    if (handle) return handle;
    const curve = curveAt(stage, point, event);
    const control = curve?.control ?? pointAt(stage, point, event)?.control;
    if (!control) {
      if (!event.shiftKey) store.look({ selected: null, also: [], point: null });
      return null;
    }
    if (event.shiftKey) store.chooseAlso(control.id);
    else if (!store.chosen.includes(control)) store.look({ selected: control.id, also: [], point: null });
    else store.look({ point: null });
    return dragging(stage, control, null, point);
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
    let stroke = [held];
    const times = [event.timeStamp];
    let drawn = false;
    // Asked for now, so that it is known while the hand is on its way.
    if (!drafting) stage.things.at(store.document.picture, held);
    return {
      changes: true,
      move(place, { shiftKey, timeStamp }) {
        const to = stage.viewport.inside(place);
        times.push(timeStamp);
        stroke = shiftKey ? [held, to] : [...stroke, to];
        drawn ||= !drafting && apart(place, held) * stage.viewport.scale > CLICK;
        if (drawn) store.follow({ drafting: stroke });
      },
      up() {
        if (drawn) {
          store.look({ drafting: null });
          if (stroke.length > 2) addTrack(stage, simplified(stroke, CURVE_TOLERANCE / stage.viewport.scale), paceOf(stroke, times));
          else addTrack(stage, stroke);
        } else click(stage, held, event);
      },
      cancel: () => store.look({ drafting: null }),
    };
  },
};

function click(stage, point, event) {
  const { store, viewport } = stage;
  const drafting = store.view.drafting ?? [];
  const last = drafting[drafting.length - 1];
  if (last && apart(last, point) * viewport.scale <= CLICK) {
    finishDraft(stage);
    return;
  }
  const curve = drafting.length || event.altKey ? null : curveAt(stage, point, event);
  if (curve) store.look({ selected: curve.control.id, also: [], point: null });
  else store.look({ drafting: [...drafting, point] });
}

/** Makes a track of the points clicked so far; fewer than two are dropped. */
export function finishDraft(stage) {
  const { store } = stage;
  const points = store.view.drafting;
  store.look({ drafting: null });
  if (points?.length > 1) addTrack(stage, points);
}

/**
 * A new track moves the thing that it starts on; where nothing was meant, what the scene lets it.
 * @param {Stage} stage
 * @param {Point[]} points
 * @param {[number, number][] | null} [hand] how fast the hand was
 */
function addTrack(stage, points, hand = null) {
  const { store, things } = stage;
  const { picture, region } = store.document;
  const control = newControl(store.document, { kind: "track", points, hand });
  store.add(control);
  if (region || points.length === 1) return;
  const settle = () => {
    const thing = things.at(/** @type {import("../state/scene.js").Picture} */ (picture), points[0]);
    if (thing === "looking") {
      things.addEventListener("change", settle, { once: true });
      return;
    }
    const now = store.document.controls.find(({ id }) => id === control.id);
    // Meanwhile somebody may have said otherwise.
    if (typeof thing === "object" && things.meant(thing) && (now ?? control).region === null) store.amend(control.id, { region: { select: thing.select } });
  };
  settle();
}

export const anchorTool = {
  cursor: "crosshair",
  down(stage, point, event) {
    const handle = grabbed(stage, point, event);
    if (handle) return handle;
    if (!stage.viewport.contains(point)) return null;
    // Not before the finger is lifted: with a second one it was the beginning of a zoom.
    return { up: () => addTrack(stage, [stage.viewport.inside(point)]) };
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

/** Takes away the point under the pointer, as long as a line remains. */
export function removePointAt(stage, point, event) {
  const handle = pointAt(stage, point, event);
  if (handle && handle.control.points.length > 2) removePoint(stage.store, handle.control, handle.index);
}

function removePoint(store, control, index) {
  store.editControl(control.id, { points: control.points.filter((_, k) => k !== index) });
  // The next press takes the next point, and never the line: that needs a selection of its own.
  const left = control.points.length - 1;
  store.look({ selected: control.id, point: left > 2 ? Math.min(index, left - 1) : null, spared: control.id });
}

/** Deletes the selected point, or all selected controls when no point is selected. */
export function deleteSelected(store) {
  const control = store.selected;
  if (!control) return;
  const { point, spared } = store.view;
  if (control.kind === "track" && point !== null && control.points.length > 2) removePoint(store, control, point);
  else if (spared !== control.id) store.removeControls(store.chosen.map(({ id }) => id));
}

/** Copies of controls, a little aside: one step, and all of them selected. */
export function addCopies(stage, controls) {
  const { store, viewport } = stage;
  const aside = 24 / viewport.scale;
  const gesture = {};
  const ids = controls.map((control) => {
    const points = control.kind === "track" ? control.points.map(([x, y]) => viewport.inside([x + aside, y + aside])) : control.points;
    const copy = copied(store.document, control);
    store.edit({ controls: [...store.document.controls, points ? { ...copy, points } : copy] }, gesture);
    return copy.id;
  });
  if (!ids.length) return;
  store.look({ selected: ids[ids.length - 1], also: ids.slice(0, -1), point: null, spared: null });
  follow(stage, ids, gesture);
}

export const duplicateSelected = (stage) => addCopies(stage, stage.store.chosen);

/** Moves the selected point or tracks by so many picture pixels. */
export function nudgeSelected(stage, dx, dy) {
  const { store, viewport } = stage;
  const { point } = store.view;
  const tracks = store.chosen.filter((control) => control.kind === "track" && !control.locked);
  if (!tracks.length) return;
  store.editControls(tracks.map(({ id }) => id), ({ points }) => ({
    points: points.map(([x, y], k) => (point === null || k === point ? viewport.inside([x + dx, y + dy]) : [x, y])),
  }), `nudge ${tracks[0].id}`);
  follow(stage, tracks.map(({ id }) => id), `nudge ${tracks[0].id}`);
}

/**
 * What can be made of a line by one press.
 * @type {Record<string, (points: Point[]) => Point[]>}
 */
export const SHAPES = {
  straight: (points) => [points[0], points[points.length - 1]],
  arc: (points) => turned(points[0], points[points.length - 1], Math.PI, 7),
  circle: (points) => turned(points[0], points[points.length - 1], 2 * Math.PI, 13),
  flip: (points) => points.map((point) => mirrored(point, points[0], points[points.length - 1])),
  reverse: (points) => [...points].reverse(),
};

/** @param {keyof typeof SHAPES} shape */
export function shapeSelected(store, shape) {
  const lines = store.chosen.filter((control) => control.kind === "track" && !isAnchor(control) && !control.locked);
  store.editControls(lines.map(({ id }) => id), ({ points, region }) => ({ points: begunAt(region ? points[0] : null, SHAPES[shape](points), store.document.picture) }));
}

/**
 * A line moved so that it begins where it shall: what has something to move takes it along from where it is.
 * @param {Point | null} start null: where it begins
 * @param {Point[]} points
 * @param {{width: number, height: number}} picture that it stays in
 */
function begunAt(start, points, { width, height }) {
  if (!start) return points;
  const [dx, dy] = [start[0] - points[0][0], start[1] - points[0][1]];
  const held = (value, length) => Math.min(length - 1, Math.max(0, value));
  return points.map(([x, y]) => /** @type {Point} */ ([held(x + dx, width), held(y + dy, height)]));
}

/**
 * From one end round the middle between both, by an angle.
 * @returns {Point[]}
 */
function turned([ax, ay], [bx, by], angle, count) {
  const [x, y] = [(ax + bx) / 2, (ay + by) / 2];
  return Array.from({ length: count }, (_, k) => {
    const [cosine, sine] = [Math.cos((angle * k) / (count - 1)), Math.sin((angle * k) / (count - 1))];
    return [x + cosine * (ax - x) - sine * (ay - y), y + sine * (ax - x) + cosine * (ay - y)];
  });
}

/**
 * On the other side of the line between two ends.
 * @returns {Point}
 */
function mirrored([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  return [2 * (ax + along * dx) - x, 2 * (ay + along * dy) - y];
}

/** Moves the selected control up or down in the order, in which later ones win. */
export function reorderSelected(store, step) {
  const from = store.document.controls.findIndex((control) => control.id === store.view.selected);
  store.moveControl(from, from + step);
}
