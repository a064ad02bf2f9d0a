/**
 * Where a part of the photo is at a frame, as the browser guesses it: what the lines on one thing say together, and
 * for lines without a thing what is near them. The true motion is the server's; this one is there at once.
 * @typedef {[number, number]} Point in picture pixels
 * @typedef {{from: Point, to: Point}} Pull something of the photo, and where it has gone
 * @typedef {(x: number, y: number) => Point} Warp
 */

import { viewAt } from "./camera.js";
import { placeOn, progressAt } from "./curve.js";

/** How far a line without a thing reaches, as a share of the photo's longer side. */
const REACH = 0.11;

/**
 * Where the start of every line has gone at a frame.
 * @param {import("../state/scene.js").Control[]} controls
 * @returns {Pull[]}
 */
export function pullsAt(controls, frame, frames) {
  return controls.flatMap((control) =>
    control.kind === "track" ? [{ from: control.points[0], to: placeOn(control, progressAt(control, frame, frames)) }] : []);
}

/**
 * All of a thing follows the lines on it: one moves it, more turn and grow it, each the more the nearer it is
 * (moving least squares with similarities: Schaefer et al., "Image Deformation Using Moving Least Squares",
 * SIGGRAPH 2006).
 * @param {Pull[]} pulls at least one
 * @returns {Warp}
 */
export function together(pulls) {
  if (pulls.length === 1) {
    const [{ from, to }] = pulls;
    return (x, y) => [x + to[0] - from[0], y + to[1] - from[1]];
  }
  return (x, y) => {
    const weights = pulls.map(({ from }) => 1 / ((from[0] - x) ** 2 + (from[1] - y) ** 2 + 1));
    const all = weights.reduce((sum, weight) => sum + weight, 0);
    const mean = (key, axis) => pulls.reduce((sum, pull, k) => sum + weights[k] * pull[key][axis], 0) / all;
    const [px, py, qx, qy] = [mean("from", 0), mean("from", 1), mean("to", 0), mean("to", 1)];
    let [spread, along, across] = [0, 0, 0];
    pulls.forEach(({ from, to }, k) => {
      const [ax, ay, bx, by] = [from[0] - px, from[1] - py, to[0] - qx, to[1] - qy];
      spread += weights[k] * (ax * ax + ay * ay);
      along += weights[k] * (ax * bx + ay * by);
      across += weights[k] * (ax * by - ay * bx);
    });
    const [turn, lift] = spread > 1e-9 ? [along / spread, across / spread] : [1, 0];
    return [turn * (x - px) - lift * (y - py) + qx, lift * (x - px) + turn * (y - py) + qy];
  };
}

/**
 * What is near a line follows it, what is far stays.
 * @param {Pull[]} pulls
 * @param {{width: number, height: number}} picture
 * @returns {Warp}
 */
export function nearby(pulls, { width, height }) {
  const reach = (REACH * Math.max(width, height)) ** 2;
  return (x, y) => {
    let [dx, dy, all] = [0, 0, 0];
    for (const { from, to } of pulls) {
      const weight = Math.exp(-((from[0] - x) ** 2 + (from[1] - y) ** 2) / reach);
      dx += weight * (to[0] - from[0]);
      dy += weight * (to[1] - from[1]);
      all += weight;
    }
    const share = 1 / Math.max(1, all);
    return [x + share * dx, y + share * dy];
  };
}

/**
 * How the cameras together show the photo at a frame: what each sees in its frame fills the picture.
 * @param {import("../state/scene.js").Control[]} controls
 * @param {{width: number, height: number}} picture
 * @returns {Warp | null} null where no camera moves
 */
export function seenAt(controls, frame, frames, picture) {
  const cameras = controls.filter((control) => control.kind === "camera");
  if (!cameras.length) return null;
  const views = cameras.map((camera) => throughView(camera, frame, frames, picture));
  return (x, y) => views.reduce((/** @type {Point} */ place, view) => view(...place), [x, y]);
}

/** @returns {Warp} */
function throughView(camera, frame, frames, picture) {
  const { corners } = viewAt(camera.move, camera.strength * progressAt(camera, frame, frames), picture);
  const [[ax, ay], [bx, by], , [cx, cy]] = corners;
  const [ux, uy, vx, vy] = [bx - ax, by - ay, cx - ax, cy - ay];
  const area = ux * vy - uy * vx;
  return (x, y) => {
    const [dx, dy] = [x - ax, y - ay];
    const [right, down] = [(dx * vy - dy * vx) / area, (ux * dy - uy * dx) / area];
    return [right * picture.width - 0.5, down * picture.height - 0.5];
  };
}
