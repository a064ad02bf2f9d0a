/** Tools for whole things: move, turn and grow one; let it sway; paint what stays. */

import { covers } from "../state/things.js";
import { selectionAt } from "../state/selection.js";
import { isBorder, newControl } from "../state/scene.js";
import { progressAt } from "./curve.js";
import { extentOf } from "./outline.js";
import { mapBack, mapOf, poseAt, REST, withPose } from "./pose.js";
import { paintingTool } from "./region_tools.js";
import { pullsAt, together } from "./warp.js";

const GRIP = 18;
const CLICK = 6;
/** Screen pixels that the handle which turns is above the box. */
const LIFT = 30;
const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) <= GRIP;

/** The share of its way at which a transform is edited: as far as it has come at the playhead, else its end. */
export function editedAt(control, frame, frames) {
  const end = control.end ?? frames - 1;
  return frame > control.start && frame < end ? Math.max(0.01, progressAt(control, frame, frames)) : 1;
}

/** The frame that is shown while a transform is edited. */
function shownAt({ start, end, thereAndBack }, frame, frames) {
  const last = end ?? frames - 1;
  if (frame > start && frame < last) return frame;
  return thereAndBack ? (start + last) / 2 : last;
}

/**
 * Where the lines on a thing have taken its places by then; a transform carries them on from there.
 * @param {import("./stage.js").Stage} stage
 * @param {HTMLCanvasElement} mask of the thing
 * @returns {import("./warp.js").Warp}
 */
function bentAt({ store, regions }, mask, frame) {
  const { controls, region, frames } = store.document;
  const picture = /** @type {import("../state/scene.js").Picture} */ (store.document.picture);
  const lines = controls.filter((one) => one.kind === "track" && !one.hidden && regions.canvas(one.region ?? region, picture) === mask);
  const pulls = pullsAt(lines, frame, frames);
  return pulls.length ? together(pulls) : (x, y) => [x, y];
}

/**
 * The handles of a transform: its box as it is at the moment that is edited, in picture pixels.
 * @param {import("./stage.js").Stage} stage
 */
export function handlesOf(stage, control) {
  const { picture, frames } = stage.store.document;
  const mask = picture && control.region ? stage.regions.canvas(control.region, picture) : null;
  if (!mask || !picture) return null;
  const { centre, box: [left, top, right, bottom], tips } = extentOf(mask, picture);
  const at = editedAt(control, stage.player.frame, frames);
  const pose = poseAt(control.keys, at);
  const turned = mapOf(pose, centre);
  const bent = bentAt(stage, mask, shownAt(control, stage.player.frame, frames));
  const map = (x, y) => turned(...bent(x, y));
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) => map(x, y));
  const upper = map((left + right) / 2, top);
  // It turns and grows about where it lay, wherever lines have taken it.
  const middle = turned(centre[0], centre[1]);
  const [x, y] = stage.viewport.toScreen(upper);
  const [cx, cy] = stage.viewport.toScreen(map(centre[0], centre[1]));
  const length = Math.hypot(x - cx, y - cy) || 1;
  const turn = /** @type {[number, number]} */ ([x + ((x - cx) / length) * LIFT, y + ((y - cy) / length) * LIFT]);
  const bends = tips.map((tip) => {
    const known = bendAt(stage.store, control, tip);
    if (!known) return { tip, place: map(tip[0], tip[1]) };
    const [fromX, fromY] = tip;
    const [toX, toY] = known.points[known.points.length - 1];
    return { tip, place: turned(fromX + at * (toX - fromX), fromY + at * (toY - fromY)) };
  });
  return { at, pose, centre, middle, corners, upper, turn, bends };
}

/** The line that bends a thing at one of its tips, or holds it there. */
function bendAt(store, { region }, [x, y]) {
  const words = JSON.stringify(region);
  return store.document.controls.find((one) => one.kind === "track" && JSON.stringify(one.region) === words
    && Math.hypot(one.points[0][0] - x, one.points[0][1] - y) < 1) ?? null;
}

/**
 * A thing is bent by a line from one of its tips, while what lies opposite and its middle are held.
 * @param {import("./stage.js").Stage} stage
 */
function bending(stage, control, { pose, at, centre, bends }, index) {
  const { store, regions } = stage;
  const { tip } = bends[index];
  const gesture = {};
  const before = store.document;
  const picture = /** @type {import("../state/scene.js").Picture} */ (before.picture);
  const { region, start, end, ease, thereAndBack } = control;
  const back = mapBack(pose, centre);
  const added = (place, points) => {
    const known = bendAt(store, control, place);
    if (known && points.length === 1) return;
    const controls = known
      ? store.document.controls.map((one) => (one === known ? { ...known, points } : one))
      : [...store.document.controls, newControl(store.document, { kind: "track", points, region, start, end, ease, thereAndBack })];
    store.edit({ controls }, gesture);
  };
  const held = [bends[(index + 2) % bends.length].tip, ...(covers(regions.canvas(region, picture), centre, picture) ? [centre] : [])];
  return {
    changes: stage.player.frame === 0,
    cancel: () => store.takeBack(before, gesture),
    move(to) {
      const [x, y] = back(to[0], to[1]);
      added(tip, [tip, stage.viewport.inside([tip[0] + (x - tip[0]) / at, tip[1] + (y - tip[1]) / at])]);
      for (const place of held) added(place, [place]);
    },
  };
}

export const transformTool = {
  cursor: "move",
  keepsFrame: true,
  down(stage, point) {
    const { store, viewport } = stage;
    const control = store.selected?.kind === "transform" && !store.selected.locked ? store.selected : null;
    const handles = control && handlesOf(stage, control);
    if (!control || !handles) return choosing(stage, point);
    const { at, pose, middle, corners, turn, bends } = handles;
    const before = store.document;
    const gesture = {};
    const place = viewport.toScreen(point);
    const change = (next) => store.editControl(control.id, { keys: withPose(control.keys, at, { ...pose, ...next }) }, gesture);
    const held = { changes: stage.player.frame === 0, cancel: () => store.takeBack(before, gesture) };
    const angle = ([x, y]) => (Math.atan2(y - middle[1], x - middle[0]) * 180) / Math.PI;
    const distance = ([x, y]) => Math.max(1, Math.hypot(x - middle[0], y - middle[1]));
    if (near(turn, place)) {
      let last = angle(point);
      let turned = pose.rotate;
      return { ...held, move(to) {
        turned += ((angle(to) - last + 540) % 360) - 180;
        last = angle(to);
        change({ rotate: Math.abs(turned) < 2 ? 0 : Math.round(2 * turned) / 2 });
      } };
    }
    const bend = bends.findIndex((one) => near(viewport.toScreen(one.place), place));
    if (bend >= 0) return bending(stage, control, handles, bend);
    if (corners.some((corner) => near(viewport.toScreen(corner), place))) {
      return { ...held, move: (to) => change({ scale: Math.min(20, Math.max(0.05, Math.round((100 * pose.scale * distance(to)) / distance(point)) / 100)) }) };
    }
    if (!inside(point, corners)) return choosing(stage, point);
    return { ...held, move: (to) => change({ x: pose.x + to[0] - point[0], y: pose.y + to[1] - point[1] }) };
  },
};

function inside([x, y], corners) {
  return corners.every(([ax, ay], k) => {
    const [bx, by] = corners[(k + 1) % corners.length];
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0;
  });
}

/** A press beside what is selected chooses another thing. */
function choosing(stage, point) {
  if (!stage.viewport.contains(point)) return null;
  return { up: () => onThing(stage, stage.viewport.inside(point), (region) => ({ kind: "transform", region, keys: [{ ...REST, at: 1, ease: "linear" }], ease: "in-out" })) };
}

export const swayTool = {
  cursor: "crosshair",
  down(stage, point) {
    const { viewport, store } = stage;
    if (!viewport.contains(point)) return null;
    stage.things.at(store.document.picture, viewport.inside(point));
    let to = point;
    return {
      changes: true,
      move: (place) => { to = place; },
      up() {
        const [dx, dy] = [to[0] - point[0], to[1] - point[1]];
        const { width, height } = store.document.picture;
        const far = Math.hypot(dx, dy);
        const drawn = far * viewport.scale > CLICK
          ? { direction: Math.round((Math.atan2(dy, dx) * 180) / Math.PI), amount: Math.min(10, Math.max(0.2, Math.round((1000 * far) / Math.max(width, height)) / 10)) }
          : { direction: 0, amount: 1 };
        onThing(stage, viewport.inside(point), (region) => ({ kind: "sway", region, like: "wind", rounds: 2, ...drawn }));
      },
    };
  },
};

/**
 * Adds a control for what is painted for the scene at a place, else for the thing there, as soon as it is known; one
 * that is there already is selected.
 */
function onThing(stage, place, make) {
  const { store, things, regions } = stage;
  const { picture, region: painted } = store.document;
  if (painted && covers(regions.canvas(painted, picture), place, picture)) {
    addedOnce(store, make(painted));
    return;
  }
  const thing = things.at(picture, place);
  if (thing === "looking") {
    things.addEventListener("change", () => onThing(stage, place, make), { once: true });
    return;
  }
  const region = { select: typeof thing === "object" ? thing.select : selectionAt(place) };
  addedOnce(store, make(region));
}

function addedOnce(store, content) {
  const known = store.document.controls.find((one) => one.kind === content.kind && JSON.stringify(one.region) === JSON.stringify(content.region));
  if (known) store.look({ selected: known.id, also: [], point: null });
  else store.add(newControl(store.document, content));
}

/** Paints what stays where it is, whatever else moves. */
export const stillTool = paintingTool("source-over", {
  of: (store) => store.document.controls.find((one) => one.kind === "still" && !isBorder(one)) ?? null,
  set(store, owner, region) {
    if (owner) store.editControl(owner.id, { region });
    else if (region) store.add(newControl(store.document, { kind: "still", region }));
  },
});
