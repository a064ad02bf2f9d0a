/** The line round a mask, as closed loops. */

import { penOf, readablePenOf } from "../elements/dom.js";

/** Longest side of the grid that is followed; the line is smoothed over it. */
const GRID = 220;
const ROUNDS = 3;

/** @typedef {[number, number][]} Loop points as shares of the picture, 0..1 */

/** @type {WeakMap<HTMLCanvasElement, Loop[]>} */
const known = new WeakMap();

/**
 * @param {HTMLCanvasElement} mask white on transparent
 * @returns {Loop[]}
 */
export function outlineOf(mask) {
  let loops = known.get(mask);
  if (!loops) {
    loops = traced(mask).map(smooth);
    known.set(mask, loops);
  }
  return loops;
}

/**
 * @typedef {{centre: [number, number], box: [number, number, number, number], tips: [number, number][]}} Extent
 * `tips`: what is furthest to the left, up, right and down, each a place on the thing
 */

/** @type {WeakMap<HTMLCanvasElement, Extent>} */
const extents = new WeakMap();

/**
 * The middle of what is under a mask, as the server takes it for a pivot, its box (left, top, right, bottom) and its tips.
 * @param {HTMLCanvasElement} mask
 * @param {{width: number, height: number}} picture in whose pixels they are
 */
export function extentOf(mask, picture) {
  let extent = extents.get(mask);
  if (!extent) {
    const { data } = penOf(mask).getImageData(0, 0, mask.width, mask.height);
    const tips = /** @type {[number, number][]} */ ([[Infinity, 0], [0, Infinity], [-Infinity, 0], [0, -Infinity]]);
    let [all, sumX, sumY, left, top, right, bottom] = [0, 0, 0, Infinity, Infinity, -Infinity, -Infinity];
    for (let k = 3, n = 0; k < data.length; k += 4, n += 1) {
      const weight = data[k] / 255;
      if (weight === 0) continue;
      const [x, y] = [n % mask.width, Math.floor(n / mask.width)];
      all += weight;
      sumX += weight * x;
      sumY += weight * y;
      if (weight < 0.5) continue;
      if (x < tips[0][0]) tips[0] = [x, y];
      if (y < tips[1][1]) tips[1] = [x, y];
      if (x > tips[2][0]) tips[2] = [x, y];
      if (y > tips[3][1]) tips[3] = [x, y];
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
    }
    const [across, down] = [picture.width / mask.width, picture.height / mask.height];
    const [toX, toY] = [(x) => (x + 0.5) * across - 0.5, (y) => (y + 0.5) * down - 0.5];
    extent = {
      centre: [toX(sumX / (all || 1)), toY(sumY / (all || 1))], box: [toX(left), toY(top), toX(right), toY(bottom)],
      tips: tips.map(([x, y]) => [toX(x), toY(y)]),
    };
    extents.set(mask, extent);
  }
  return extent;
}

function traced(mask) {
  const scale = Math.min(1, GRID / Math.max(mask.width, mask.height));
  const [width, height] = [Math.max(1, Math.round(mask.width * scale)), Math.max(1, Math.round(mask.height * scale))];
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const pen = readablePenOf(small);
  pen.drawImage(mask, 0, 0, width, height);
  const { data } = pen.getImageData(0, 0, width, height);
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x) + 3] > 127;
  // Borders between inside and outside, each going from corner to corner with the inside on its right.
  /** @type {Map<number, number[]>} */
  const next = new Map();
  const add = (x0, y0, x1, y1) => {
    const from = y0 * (width + 1) + x0;
    next.set(from, [...(next.get(from) ?? []), y1 * (width + 1) + x1]);
  };
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(x, y)) continue;
      if (!inside(x, y - 1)) add(x, y, x + 1, y);
      if (!inside(x + 1, y)) add(x + 1, y, x + 1, y + 1);
      if (!inside(x, y + 1)) add(x + 1, y + 1, x, y + 1);
      if (!inside(x - 1, y)) add(x, y + 1, x, y);
    }
  }
  /** @type {Loop[]} */
  const loops = [];
  for (const [start] of next) {
    /** @type {Loop} */
    const loop = [];
    for (let corner = start; next.get(corner)?.length; ) {
      loop.push([(corner % (width + 1)) / width, Math.floor(corner / (width + 1)) / height]);
      corner = /** @type {number} */ (next.get(corner)?.pop());
    }
    if (loop.length > 8) loops.push(loop);
  }
  return loops;
}

/** @param {Loop} loop @returns {Loop} */
function smooth(loop) {
  let line = loop;
  for (let round = 0; round < ROUNDS; round += 1) {
    line = line.map(([x, y], k) => {
      const [before, after] = [line[(k + line.length - 1) % line.length], line[(k + 1) % line.length]];
      return [(before[0] + 2 * x + after[0]) / 4, (before[1] + 2 * y + after[1]) / 4];
    });
  }
  return line;
}
