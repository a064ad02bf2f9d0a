/**
 * Where things are when: the same curves as control/tracks.py and control/timing.py.
 * @typedef {[number, number]} Point
 * @typedef {string | Point[]} Ease "linear", "in", "out", "in-out", or pairs (time, fraction)
 */

/**
 * Monotone cubic (PCHIP) through values at increasing places, as SciPy computes it.
 * @param {number[]} places
 * @param {number[]} values
 * @returns {(place: number) => number}
 */
export function pchip(places, values) {
  const legs = places.length - 1;
  const widths = Array.from({ length: legs }, (_, k) => places[k + 1] - places[k]);
  const slopes = widths.map((width, k) => (values[k + 1] - values[k]) / width);
  const tangents = values.map((_, k) => {
    if (legs === 1) return slopes[0];
    if (k === 0) return endTangent(widths[0], widths[1], slopes[0], slopes[1]);
    if (k === legs) return endTangent(widths[legs - 1], widths[legs - 2], slopes[legs - 1], slopes[legs - 2]);
    return innerTangent(widths[k - 1], widths[k], slopes[k - 1], slopes[k]);
  });
  return (place) => {
    let k = 0;
    while (k < legs - 1 && place > places[k + 1]) k += 1;
    const t = (place - places[k]) / widths[k];
    const [a, b] = [values[k], values[k + 1]];
    const [da, db] = [tangents[k] * widths[k], tangents[k + 1] * widths[k]];
    return a + t * (da + t * (3 * (b - a) - 2 * da - db + t * (2 * (a - b) + da + db)));
  };
}

function innerTangent(before, after, slopeBefore, slopeAfter) {
  if (slopeBefore * slopeAfter <= 0) return 0;
  const [one, other] = [2 * after + before, after + 2 * before];
  return (one + other) / (one / slopeBefore + other / slopeAfter);
}

function endTangent(near, far, slope, next) {
  const tangent = ((2 * near + far) * slope - near * next) / (near + far);
  if (tangent * slope <= 0) return 0;
  if (slope * next <= 0 && Math.abs(tangent) > 3 * Math.abs(slope)) return 3 * slope;
  return tangent;
}

/**
 * The curve through clicked points: every leg takes the same share of the way. One point stays where it is.
 * @param {Point[]} points
 * @returns {(fraction: number) => Point}
 */
export function curveThrough(points) {
  if (points.length === 1) return () => points[0];
  const knots = points.map((_, k) => k / (points.length - 1));
  const x = pchip(knots, points.map((point) => point[0]));
  const y = pchip(knots, points.map((point) => point[1]));
  return (fraction) => [x(fraction), y(fraction)];
}

/** Fraction of the path at a time, both 0..1. */
export function eased(ease, time) {
  switch (ease) {
    case "linear":
      return time;
    case "in":
      return time ** 2;
    case "out":
      return 1 - (1 - time) ** 2;
    case "in-out":
      return time ** 2 * (3 - 2 * time);
    default: {
      const pairs = ease[0][0] === 0 ? ease : [[0, 0], ...ease];
      const last = pairs[pairs.length - 1];
      const curve = pchip(pairs.map((pair) => pair[0]), pairs.map((pair) => pair[1]));
      return Math.min(1, Math.max(0, curve(Math.min(time, last[0]))));
    }
  }
}

/**
 * Fraction of a control's way that is covered at a frame, which need not be whole.
 * @param {{ease: Ease, start: number, end: number | null, thereAndBack: boolean}} control
 */
export function progressAt(control, frame, frames) {
  const end = control.end ?? Math.max(frames - 1, control.start + 1);
  const time = Math.min(1, Math.max(0, (frame - control.start) / (end - control.start)));
  return eased(control.ease, control.thereAndBack ? 1 - Math.abs(2 * time - 1) : time);
}

/** Steps in which a time is sought. */
const FINE = 240;

/** The share of its time after which a control has first come so far, 0..1. */
export function timeOf({ ease, thereAndBack }, progress) {
  let step = 0;
  while (step < FINE && eased(ease, step / FINE) < progress - 1e-6) step += 1;
  return step / FINE / (thereAndBack ? 2 : 1);
}

const curves = new WeakMap();

/**
 * Where a track is at a fraction of its way, its strength included.
 * @returns {Point}
 */
export function placeOn(control, fraction) {
  if (!curves.has(control.points)) curves.set(control.points, curveThrough(control.points));
  const [x, y] = curves.get(control.points)(fraction);
  const [startX, startY] = control.points[0];
  return [startX + control.strength * (x - startX), startY + control.strength * (y - startY)];
}

const LEG_STEPS = 16;
const polylines = new WeakMap();

/** The drawn curve as a polyline, kept for as long as its points are. */
export function polyline(points) {
  if (!polylines.has(points)) {
    const curve = curveThrough(points);
    const steps = LEG_STEPS * (points.length - 1);
    polylines.set(points, Array.from({ length: steps + 1 }, (_, k) => curve(steps ? k / steps : 0)));
  }
  return polylines.get(points);
}

/** How long the drawn curve is, in picture pixels. */
export function lengthOf(points) {
  const line = polyline(points);
  return line.slice(1).reduce((sum, [x, y], k) => sum + Math.hypot(x - line[k][0], y - line[k][1]), 0);
}

/** The nearest place of a curve: how far it is, and which leg it is on. */
export function nearestOn(points, [x, y]) {
  const line = polyline(points);
  let best = { distance: Infinity, leg: 0 };
  for (let k = 0; k + 1 < line.length; k += 1) {
    const distance = distanceToSegment([x, y], line[k], line[k + 1]);
    if (distance < best.distance) best = { distance, leg: Math.floor(k / LEG_STEPS) };
  }
  return best;
}

function distanceToSegment([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

const MOST_POINTS = 12;

/**
 * The fewest points, evenly spaced along a freehand stroke, whose curve stays within `tolerance` of it.
 * Even spacing keeps the speed even, since every leg takes the same time.
 * @param {Point[]} stroke
 * @param {number} tolerance
 * @returns {Point[]}
 */
export function simplified(stroke, tolerance) {
  const smooth = smoothed(stroke);
  for (let count = 2; count < MOST_POINTS; count += 1) {
    const points = spacedEvenly(smooth, count);
    const line = polyline(points);
    if (smooth.every((place) => distanceToLine(place, line) <= tolerance)) return points;
  }
  return spacedEvenly(smooth, MOST_POINTS);
}

const PACE_STEPS = 8;

/**
 * How fast a hand went along its stroke, as an easing: pairs (time, fraction of the way).
 * @param {Point[]} stroke
 * @param {number[]} times when each of its points was reached
 * @returns {[number, number][] | null} null where the clock stood still
 */
export function paceOf(stroke, times) {
  const ways = [0];
  for (let k = 1; k < stroke.length; k += 1) ways.push(ways[k - 1] + Math.hypot(stroke[k][0] - stroke[k - 1][0], stroke[k][1] - stroke[k - 1][1]));
  const [first, lasted, length] = [times[0], times[times.length - 1] - times[0], ways[ways.length - 1]];
  if (lasted <= 0 || length <= 0) return null;
  /** @type {[number, number][]} */
  const pairs = [];
  for (let step = 1; step < PACE_STEPS; step += 1) {
    const moment = first + (lasted * step) / PACE_STEPS;
    const k = Math.max(1, times.findIndex((time) => time >= moment));
    const share = Math.min(1, Math.max(0, (moment - times[k - 1]) / (times[k] - times[k - 1] || 1)));
    pairs.push([step / PACE_STEPS, Math.round((100 * (ways[k - 1] + share * (ways[k] - ways[k - 1]))) / length) / 100]);
  }
  return [...pairs, [1, 1]];
}

function smoothed(stroke) {
  return stroke.map((point, k) => {
    if (k === 0 || k === stroke.length - 1) return point;
    const [before, after] = [stroke[k - 1], stroke[k + 1]];
    return [(before[0] + 2 * point[0] + after[0]) / 4, (before[1] + 2 * point[1] + after[1]) / 4];
  });
}

function spacedEvenly(line, count) {
  const lengths = [0];
  for (let k = 1; k < line.length; k += 1) {
    lengths.push(lengths[k - 1] + Math.hypot(line[k][0] - line[k - 1][0], line[k][1] - line[k - 1][1]));
  }
  const total = lengths[lengths.length - 1];
  let k = 0;
  return Array.from({ length: count }, (_, index) => {
    const wanted = (total * index) / (count - 1);
    while (k < line.length - 2 && lengths[k + 1] < wanted) k += 1;
    const share = Math.min(1, (wanted - lengths[k]) / (lengths[k + 1] - lengths[k] || 1));
    const [[ax, ay], [bx, by]] = [line[k], line[k + 1]];
    return /** @type {Point} */ ([ax + share * (bx - ax), ay + share * (by - ay)]);
  });
}

function distanceToLine(place, line) {
  let best = Infinity;
  for (let k = 0; k + 1 < line.length; k += 1) best = Math.min(best, distanceToSegment(place, line[k], line[k + 1]));
  return best;
}
