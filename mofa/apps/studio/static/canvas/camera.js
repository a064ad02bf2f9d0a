/**
 * The camera's move as numbers: its words, and the rectangle of the photo that it shows in the end.
 * The same geometry as control/camera.py: zoom and rotation about the centre, then the pan.
 * @typedef {{panX: number, panY: number, zoom: number, rotate: number}} Move pixels, factor, degrees clockwise
 */

const AMOUNT = "([0-9.e+-]+)";

/**
 * Reads the words that the server writes: single pans in px or %, a zoom factor, one rotation.
 * @param {string} words
 * @param {{width: number, height: number}} picture
 * @returns {Move}
 */
export function moveFromWords(words, picture) {
  const move = { panX: 0, panY: 0, zoom: 1, rotate: 0 };
  for (const clause of words.split(",").map((part) => part.trim())) {
    const pan = clause.match(new RegExp(`^pan (right|left|down|up) ${AMOUNT}( px|%)$`));
    const zoom = clause.match(new RegExp(`^zoom ${AMOUNT}$`));
    const rotate = clause.match(new RegExp(`^rotate (right|left) ${AMOUNT}°$`));
    if (pan) {
      const [axis, side] = ["right", "left"].includes(pan[1]) ? ["panX", picture.width] : ["panY", picture.height];
      const sign = ["right", "down"].includes(pan[1]) ? 1 : -1;
      move[axis] += sign * Number(pan[2]) * (pan[3] === "%" ? side / 100 : 1);
    } else if (zoom) move.zoom *= Number(zoom[1]);
    else if (rotate) move.rotate += (rotate[1] === "right" ? 1 : -1) * Number(rotate[2]);
  }
  return move;
}

/** The words for a move. */
export function wordsFromMove({ panX, panY, zoom, rotate }) {
  const words = [];
  if (panX) words.push(`pan ${panX > 0 ? "right" : "left"} ${tidy(Math.abs(panX))} px`);
  if (panY) words.push(`pan ${panY > 0 ? "down" : "up"} ${tidy(Math.abs(panY))} px`);
  if (zoom !== 1) words.push(`zoom ${tidy(zoom)}`);
  if (rotate) words.push(`rotate ${rotate > 0 ? "right" : "left"} ${tidy(Math.abs(rotate))}`);
  return words.join(", ") || "still";
}

function tidy(value) {
  return String(Number(value.toFixed(3)));
}

/**
 * The four corners of what the camera shows at a fraction of its move, and its centre.
 * @param {Move} move
 */
export function viewAt(move, fraction, { width, height }) {
  const scale = move.zoom ** -fraction;
  const [cosine, sine] = turned(move.rotate * fraction, scale);
  const [panX, panY] = [move.panX * fraction, move.panY * fraction];
  const place = (x, y) => /** @type {[number, number]} */ ([
    (width - 1) / 2 + cosine * (x + panX) - sine * (y + panY),
    (height - 1) / 2 + sine * (x + panX) + cosine * (y + panY),
  ]);
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => place((x * width) / 2, (y * height) / 2));
  return { corners, centre: place(0, 0), top: place(0, -height / 2) };
}

/**
 * The pan that brings the view's centre to a place of the photo.
 * @param {Move} move
 * @param {number[]} place
 */
export function panTo(move, [x, y], { width, height }) {
  const [cosine, sine] = turned(-move.rotate, move.zoom);
  const [dx, dy] = [x - (width - 1) / 2, y - (height - 1) / 2];
  return { ...move, panX: cosine * dx - sine * dy, panY: sine * dx + cosine * dy };
}

/** The same view centre under another zoom or rotation. */
export function withZoomAndTurn(move, change, picture) {
  const { centre } = viewAt(move, 1, picture);
  return panTo({ ...move, ...change }, centre, picture);
}

function turned(degrees, scale) {
  const angle = (degrees * Math.PI) / 180;
  return [scale * Math.cos(angle), scale * Math.sin(angle)];
}
