/** Draws what lies over the photo: tracks, anchors, the camera's frame, ghosts. Pure drawing, no state. */

import { viewAt } from "./camera.js";
import { placeOn, polyline, progressAt } from "./curve.js";
import { drawFace } from "./face_painter.js";
import { isAnchor } from "../state/scene.js";
import { parsed } from "../state/selection.js";

const INK = "rgba(12, 14, 18, 0.75)";
const TRAIL_FRAMES = 5;
const TRAIL_STEPS = 6;

/**
 * Everything that stands still until the document, the selection or the view changes.
 * @param {CanvasRenderingContext2D} pen in CSS pixels
 * @param {import("./viewport.js").Viewport} viewport
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/faces.js").Faces} faces
 * @param {{control: any, index: number} | null} hovered what a press would take hold of
 */
export function paintControls(pen, viewport, { document, view }, faces, hovered) {
  pen.clearRect(0, 0, viewport.width, viewport.height);
  for (const control of document.controls) {
    if (control.hidden) continue;
    const selected = control.id === view.selected || view.also.includes(control.id);
    if (control.kind === "camera") drawCamera(pen, viewport, control, selected);
    else if (control.kind === "track") drawTrack(pen, viewport, control, selected, control.id === view.selected ? view.point : null);
  }
  drawFaces(pen, viewport, document, view, faces);
  if (document.region && "select" in document.region) drawPicks(pen, viewport, document.region.select);
  if (hovered) drawGrip(pen, viewport.toScreen(hovered.control.points[hovered.index]), hovered.control.colour);
}

/**
 * What changes with every frame: ghosts, the line being drawn, the line round what is selected, the cursor.
 * @param {CanvasRenderingContext2D} pen in CSS pixels
 * @param {import("./viewport.js").Viewport} viewport
 * @param {import("../state/store.js").Store} store
 * @param {{frame: number, ghosts: boolean, cursor: [number, number] | null, keyboard: boolean, faces: import("../state/faces.js").Faces,
 *   now: number, outline: {paths: import("./outline.js").Loop[], colour: string} | null,
 *   hoveredThing: import("./outline.js").Loop[] | null}} what
 */
export function paintMoving(pen, viewport, { document, view }, what) {
  const { frame, ghosts, cursor, keyboard, faces, now, outline, hoveredThing } = what;
  pen.clearRect(0, 0, viewport.width, viewport.height);
  if (outline) drawOutline(pen, viewport, outline.paths, outline.colour, now);
  if (hoveredThing) drawOutline(pen, viewport, hoveredThing, "#fff", now);
  if (ghosts) {
    for (const control of document.controls.filter(({ hidden }) => !hidden)) {
      if (control.kind !== "landmarks") drawGhost(pen, viewport, control, frame, document.frames);
      else drawDrivenFace(pen, viewport, control, faces.at(control, frame));
    }
  }
  if (view.drafting) drawDraft(pen, viewport, view, cursor);
  if (cursor) drawCursor(pen, viewport, view, cursor, keyboard);
}

function drawDrivenFace(pen, viewport, { colour }, points) {
  if (points) drawFace(pen, viewport, points, { colour });
}

/** Driven faces at rest, with their points while they are selected; with the face tool also those to choose from. */
function drawFaces(pen, viewport, { controls }, { selected, point, tool }, faces) {
  for (const control of controls.filter(({ kind }) => kind === "landmarks")) {
    const rest = control.id === selected ? faces.rest(control) : null;
    if (rest) drawFace(pen, viewport, rest, { colour: "#ffffffb0", handles: tool === "face", active: point });
  }
  if (tool !== "face" || controls.some(({ id, kind }) => id === selected && kind === "landmarks")) return;
  for (const points of faces.detected ?? []) drawFace(pen, viewport, points, { colour: "#fff" });
}

function drawTrack(pen, viewport, control, selected, point) {
  const [start] = control.points;
  if (isAnchor(control)) {
    drawAnchor(pen, viewport.toScreen(start), control.colour, selected);
    return;
  }
  const line = polyline(control.points).map((place) => viewport.toScreen(place));
  const width = selected ? 3.5 : 2.5;
  stroke(pen, line, INK, width + 2.5);
  stroke(pen, line, control.colour, width);
  drawArrow(pen, line, control.colour, selected ? 11 : 0);
  const places = control.points.map((place) => viewport.toScreen(place));
  disc(pen, places[0], selected ? 6 : 5, control.colour, INK);
  if (selected) places.forEach((place, k) => drawHandle(pen, place, control.colour, k === point));
}

/**
 * The box of a thing that is moved, turned and grown, with its handles.
 * @param {{corners: number[][], upper: number[], middle: number[], turn: [number, number], bends: {place: [number, number]}[]}} box
 */
export function paintHandles(pen, viewport, box, colour) {
  const { corners, upper, middle, turn, bends } = box;
  const places = corners.map((corner) => viewport.toScreen(corner));
  for (const [ink, width] of /** @type {[string, number][]} */ ([[INK, 4], [colour, 1.75]])) {
    stroke(pen, [...places, places[0]], ink, width);
    stroke(pen, [viewport.toScreen(upper), turn], ink, width);
  }
  for (const place of places) disc(pen, place, 6, "#fff", colour, 2.5);
  disc(pen, turn, 7, "#fff", colour, 2.5);
  for (const { place } of bends) diamond(pen, viewport.toScreen(place), 6, "#fff", colour);
  disc(pen, viewport.toScreen(middle), 3.5, colour, INK);
}

function diamond(pen, [x, y], radius, fill, colour) {
  pen.beginPath();
  for (const [dx, dy] of [[-1, 0], [0, -1], [1, 0], [0, 1]]) pen.lineTo(x + radius * dx, y + radius * dy);
  pen.closePath();
  Object.assign(pen, { fillStyle: fill, strokeStyle: colour, lineWidth: 2.5 });
  pen.fill();
  pen.stroke();
}

function drawHandle(pen, place, colour, active) {
  disc(pen, place, active ? 7 : 5, active ? colour : "#fff", active ? "#fff" : colour, 2.5);
}

function drawAnchor(pen, [x, y], colour, selected) {
  const radius = selected ? 11 : 9;
  for (const [ink, width] of [[INK, 5], [colour, 2.5]]) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.moveTo(x - radius, y);
    pen.lineTo(x + radius, y);
    pen.moveTo(x, y - radius);
    pen.lineTo(x, y + radius);
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.stroke();
  }
  if (selected) disc(pen, [x, y], 4.5, "#fff", colour, 2.5);
}

const ARROW = 13;

/** An arrow head at the end of a line, or so far beyond it, where a handle covers the end. */
function drawArrow(pen, line, colour, beyond = 0) {
  const tip = line[line.length - 1];
  const behind = [...line].reverse().find((place) => Math.hypot(place[0] - tip[0], place[1] - tip[1]) >= ARROW) ?? line[0];
  const angle = Math.atan2(tip[1] - behind[1], tip[0] - behind[0]);
  pen.save();
  pen.translate(...tip);
  pen.rotate(angle);
  pen.beginPath();
  pen.moveTo(beyond + 0.55 * ARROW, 0);
  pen.lineTo(beyond - 0.55 * ARROW, 0.45 * ARROW);
  pen.lineTo(beyond - 0.55 * ARROW, -0.45 * ARROW);
  pen.closePath();
  pen.lineJoin = "round";
  pen.lineWidth = 2.5;
  pen.strokeStyle = INK;
  pen.stroke();
  pen.fillStyle = colour;
  pen.fill();
  pen.restore();
}

/** The line that is being drawn: in one stroke, or so far as its points were clicked. */
function drawDraft(pen, viewport, { drafting, drawing }, cursor) {
  const stroked = drawing && drafting.length > 1;
  const places = (cursor && !stroked ? [...drafting, cursor] : drafting).map((place) => viewport.toScreen(place));
  stroke(pen, places, INK, 4.5);
  stroke(pen, places, "#fff", 2);
  if (stroked) drawArrow(pen, places, "#fff");
  for (const place of stroked ? [places[0]] : places) disc(pen, place, 4.5, "#fff", INK);
}

/** The camera's frame: what is seen in the end, with a handle to turn it and corners to zoom. */
function drawCamera(pen, viewport, control, selected) {
  const { corners, top, centre } = viewAt(control.move, 1, viewport.picture);
  const places = corners.map((place) => viewport.toScreen(place));
  const closed = [...places, places[0]];
  pen.save();
  if (!selected) pen.setLineDash([7, 6]);
  stroke(pen, closed, INK, 4);
  stroke(pen, closed, control.colour, 2);
  pen.restore();
  const middle = viewport.toScreen([(viewport.picture.width - 1) / 2, (viewport.picture.height - 1) / 2]);
  const end = viewport.toScreen(centre);
  if (Math.hypot(end[0] - middle[0], end[1] - middle[1]) > 12) {
    stroke(pen, [middle, end], INK, 4);
    stroke(pen, [middle, end], control.colour, 2);
    drawArrow(pen, [middle, end], control.colour);
  }
  if (!selected) return;
  const handle = turnHandle(viewport, top, centre);
  stroke(pen, [viewport.toScreen(top), handle], control.colour, 2);
  disc(pen, handle, 7, "#fff", control.colour, 2.5);
  for (const place of places) disc(pen, place, 6, "#fff", control.colour, 2.5);
}

/**
 * Where the handle that turns the camera is on the screen: inside the frame, below its upper edge.
 * @returns {[number, number]}
 */
export function turnHandle(viewport, top, centre) {
  const [x, y] = viewport.toScreen(top);
  const [cx, cy] = viewport.toScreen(centre);
  const distance = Math.hypot(cx - x, cy - y) || 1;
  const length = Math.min(32, distance / 2);
  return [x + ((cx - x) / distance) * length, y + ((cy - y) / distance) * length];
}

const DASH = [7, 5];
/** Screen pixels a second that the dashes of an outline walk. */
const WALK = 14;

/** The line round a thing; its dashes walk. */
function drawOutline(pen, viewport, loops, colour, now) {
  const { width, height } = viewport.picture;
  pen.beginPath();
  for (const loop of loops) {
    loop.forEach(([u, v], k) => {
      const [x, y] = viewport.toScreen([u * width - 0.5, v * height - 0.5]);
      if (k) pen.lineTo(x, y);
      else pen.moveTo(x, y);
    });
    pen.closePath();
  }
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = INK;
  pen.stroke();
  pen.save();
  pen.setLineDash(DASH);
  pen.lineDashOffset = -((now / 1000) * WALK) % (DASH[0] + DASH[1]);
  pen.lineWidth = 1.75;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.restore();
}

/** A ring round the point that a press would take hold of. */
function drawGrip(pen, place, colour) {
  disc(pen, place, 10, "#ffffff40", colour, 2.5);
}

/** The points that a selection was clicked at: those on it full, those beside it empty. */
function drawPicks(pen, viewport, select) {
  const { on, beside } = parsed(select, viewport.picture);
  for (const place of on) disc(pen, viewport.toScreen(place), 4, "#fff", INK);
  for (const place of beside) disc(pen, viewport.toScreen(place), 4, INK, "#fff");
}

function drawGhost(pen, viewport, control, frame, frames) {
  if (control.kind === "camera") {
    const { corners } = viewAt(control.move, control.strength * progressAt(control, frame, frames), viewport.picture);
    const places = corners.map((place) => viewport.toScreen(place));
    stroke(pen, [...places, places[0]], "rgba(255, 255, 255, 0.7)", 1.5);
  } else if (control.kind === "track" && !isAnchor(control)) {
    const trail = Array.from({ length: TRAIL_STEPS + 1 }, (_, k) => {
      const then = Math.max(0, frame - (k / TRAIL_STEPS) * TRAIL_FRAMES);
      return viewport.toScreen(placeOn(control, progressAt(control, then, frames)));
    });
    pen.globalAlpha = 0.45;
    stroke(pen, trail, "#fff", 9);
    pen.globalAlpha = 1;
    disc(pen, trail[0], 7, "#fff", control.colour, 3);
  }
}

function drawCursor(pen, viewport, view, cursor, keyboard) {
  const [x, y] = viewport.toScreen(cursor);
  if (["brush", "erase", "still"].includes(view.tool)) {
    for (const [ink, width] of [[INK, 3], ["#fff", 1.5]]) {
      pen.beginPath();
      pen.arc(x, y, view.brush / 2, 0, 2 * Math.PI);
      pen.strokeStyle = ink;
      pen.lineWidth = width;
      pen.stroke();
    }
  }
  if (keyboard) {
    for (const [ink, width] of [[INK, 4], ["#fff", 1.5]]) {
      stroke(pen, [[x - 14, y], [x + 14, y]], ink, width);
      stroke(pen, [[x, y - 14], [x, y + 14]], ink, width);
    }
  }
}

function stroke(pen, places, ink, width) {
  pen.beginPath();
  places.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.lineJoin = pen.lineCap = "round";
  pen.strokeStyle = ink;
  pen.lineWidth = width;
  pen.stroke();
}

function disc(pen, [x, y], radius, fill, rim, width = 1.5) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  if (!rim) return;
  pen.strokeStyle = rim;
  pen.lineWidth = width;
  pen.stroke();
}

/** How much of the rest is left when one thing is selected. */
const DIMMED = "rgba(8, 10, 14, 0.3)";

/**
 * Tints the regions, in the photo's own pixels at the canvas's scale.
 * @param {CanvasRenderingContext2D} pen
 * @param {{canvas: HTMLCanvasElement, colour: string}[]} layers
 * @param {HTMLCanvasElement | null} chosen what is selected: all but this is dimmed
 */
export function paintRegions(pen, layers, chosen) {
  const { width, height } = pen.canvas;
  pen.clearRect(0, 0, width, height);
  if (chosen) {
    pen.fillStyle = DIMMED;
    pen.fillRect(0, 0, width, height);
    pen.globalCompositeOperation = "destination-out";
    pen.drawImage(chosen, 0, 0, width, height);
    pen.globalCompositeOperation = "source-over";
  }
  for (const { canvas, colour } of layers) {
    const tinted = new OffscreenCanvas(width, height);
    const brush = /** @type {OffscreenCanvasRenderingContext2D} */ (tinted.getContext("2d"));
    brush.drawImage(canvas, 0, 0, width, height);
    brush.globalCompositeOperation = "source-in";
    brush.fillStyle = colour;
    brush.fillRect(0, 0, width, height);
    pen.globalAlpha = chosen ? 0.24 : 0.38;
    pen.drawImage(tinted, 0, 0);
  }
  pen.globalAlpha = 1;
}
