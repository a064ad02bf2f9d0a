/** Draws the 68 points of a face and the lines between them. */

const INK = "rgba(12, 14, 18, 0.6)";
const RADIUS = 3;

/**
 * First point, last point, closed or not: jaw, brows, nose, eyes, lips.
 * @type {[number, number, boolean][]}
 */
const LINES = [
  [0, 16, false], [17, 21, false], [22, 26, false], [27, 30, false], [31, 35, false], [36, 41, true], [42, 47, true],
  [48, 59, true], [60, 67, true],
];

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {import("./viewport.js").Viewport} viewport
 * @param {import("../state/faces.js").Points} points
 * @param {{colour: string, handles?: boolean, active?: number | null}} look
 */
export function drawFace(pen, viewport, points, { colour, handles = false, active = null }) {
  const places = points.map((point) => viewport.toScreen(point));
  for (const [ink, width] of /** @type {[string, number][]} */ ([[INK, 3.5], [colour, 1.75]])) {
    pen.beginPath();
    for (const [first, last, closed] of LINES) {
      pen.moveTo(...places[first]);
      for (let k = first + 1; k <= last; k += 1) pen.lineTo(...places[k]);
      if (closed) pen.lineTo(...places[first]);
    }
    pen.lineJoin = pen.lineCap = "round";
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.stroke();
  }
  if (!handles) return;
  places.forEach(([x, y], k) => {
    pen.beginPath();
    pen.arc(x, y, k === active ? 2 * RADIUS : RADIUS, 0, 2 * Math.PI);
    pen.fillStyle = k === active ? colour : "#fff";
    pen.fill();
    pen.strokeStyle = INK;
    pen.lineWidth = 1;
    pen.stroke();
  });
}
