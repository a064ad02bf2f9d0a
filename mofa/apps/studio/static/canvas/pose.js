/**
 * A thing that is moved, turned and grown as one: the same similarities as control/transform.py.
 * @typedef {{x: number, y: number, rotate: number, scale: number}} Pose pixels, degrees clockwise, factor
 * @typedef {Pose & {at: number, ease: import("./curve.js").Ease}} Key a pose at a share of the way
 */

import { eased, progressAt } from "./curve.js";

/** @type {Pose} */
export const REST = { x: 0, y: 0, rotate: 0, scale: 1 };

/**
 * The pose at a share of the way: moves and angles in proportion, scales geometric.
 * @param {Key[]} keys
 * @param {number} share
 * @returns {Pose}
 */
export function poseAt(keys, share) {
  const pose = { ...REST };
  let before = { ...REST, at: 0 };
  for (const key of keys) {
    const part = eased(key.ease, Math.min(1, Math.max(0, (share - before.at) / (key.at - before.at))));
    pose.x += part * (key.x - before.x);
    pose.y += part * (key.y - before.y);
    pose.rotate += part * (key.rotate - before.rotate);
    pose.scale *= (key.scale / before.scale) ** part;
    before = key;
  }
  return pose;
}

/** The pose of a control at a frame, its strength included. */
export function poseOf(control, frame, frames) {
  return poseAt(control.keys, progressAt(control, frame, frames));
}

/**
 * Where the places of a thing have gone in a pose.
 * @param {Pose} pose
 * @param {[number, number]} pivot
 * @returns {import("./warp.js").Warp}
 */
export function mapOf({ x, y, rotate, scale }, [px, py]) {
  const angle = (rotate * Math.PI) / 180;
  const [cosine, sine] = [scale * Math.cos(angle), scale * Math.sin(angle)];
  return (u, v) => [cosine * (u - px) - sine * (v - py) + px + x, sine * (u - px) + cosine * (v - py) + py + y];
}

/**
 * Where a place was before a thing took a pose.
 * @param {Pose} pose
 * @param {[number, number]} pivot
 * @returns {import("./warp.js").Warp}
 */
export function mapBack({ x, y, rotate, scale }, [px, py]) {
  const back = mapOf({ x: 0, y: 0, rotate: -rotate, scale: 1 / scale }, [px, py]);
  return (u, v) => back(u - x, v - y);
}

/**
 * The keys with another pose at a moment; a key so near is replaced.
 * @param {Key[]} keys
 * @param {number} at
 * @param {Pose} pose
 * @returns {Key[]}
 */
export function withPose(keys, at, pose) {
  const near = keys.find((key) => Math.abs(key.at - at) < 0.015);
  const key = { ...pose, at: near?.at ?? Math.round(100 * at) / 100, ease: near?.ease ?? "linear" };
  return [...keys.filter((other) => other !== near), key].sort((a, b) => a.at - b.at);
}

/** @param {Pose} pose */
export function wordsFromPose({ x, y, rotate, scale }) {
  const tidy = (value) => Number(value.toFixed(3));
  return `move ${tidy(x)},${tidy(y)} rotate ${tidy(rotate)} scale ${tidy(scale)}`;
}

/**
 * Reads what the server writes.
 * @param {string} words
 * @param {{width: number, height: number}} picture
 * @returns {Pose}
 */
export function poseFromWords(words, { width, height }) {
  const [, x = "0", y = "0"] = words.match(/(?:^|move )(-?[\d.e%+-]+),(-?[\d.e%+-]+)/) ?? [];
  const number = (name, usual) => Number(words.match(new RegExp(`${name} (-?[\\d.e+-]+)`))?.[1] ?? usual);
  const along = (text, side) => (text.endsWith("%") ? (parseFloat(text) / 100) * (side - 1) : Number(text));
  return { x: along(x, width), y: along(y, height), rotate: number("rotate", 0), scale: number("scale", 1) };
}
