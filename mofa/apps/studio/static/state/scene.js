/**
 * The canvas's document and the scene that the server knows, one into the other.
 * @typedef {{mask: string} | {select: string} | {border: number} | null} Region
 * @typedef {{id: number, number?: number, name?: string, hidden?: boolean, locked?: boolean}} Named as the page knows a control
 * @typedef {Named & {colour: string, strength: number, region: Region, hand?: [number, number][] | null, start: number, end: number | null,
 *   ease: import("../canvas/curve.js").Ease, thereAndBack: boolean}} Timed
 * @typedef {Timed & {kind: "track", points: [number, number][]}} Track one point is an anchor
 * @typedef {Timed & {kind: "tracks", file: string}} TrackFile
 * @typedef {Timed & {kind: "camera", move: import("../canvas/camera.js").Move, depth?: string | null, parallax?: number}} Camera
 * @typedef {Timed & {kind: "reference", video: string}} Reference
 * @typedef {Named & {kind: "landmarks", colour: string, strength: number, region: Region,
 *   source: "speech" | "video" | "file", file: string, driver: string, face: number | [number, number],
 *   points: [number, number][] | null, transcript?: string, mouth: number, eyes: number, brows: number, pose: number, absolute: boolean,
 *   maxSeconds: number}} DrivenFace `points` are set by hand; null where the face is found
 * @typedef {Timed & {kind: "transform", keys: import("../canvas/pose.js").Key[]}} Transform
 * @typedef {Timed & {kind: "sway", like: string, amount: number, direction: number, rounds: number}} Sway
 * @typedef {Timed & {kind: "still"}} Still
 * @typedef {Track | TrackFile | Camera | Reference | DrivenFace | Transform | Sway | Still} Control
 * @typedef {{name: string, width: number, height: number}} Picture
 * @typedef {{picture: Picture | null, size: [number, number] | null, frames: number, fps: number, fit: string,
 *   loop: boolean, seed: number, renderer: string, diffusion: Record<string, any> | null, region: Region,
 *   controls: Control[]}} Document
 */

import { moveFromWords, wordsFromMove } from "../canvas/camera.js";
import { poseFromWords, wordsFromPose } from "../canvas/pose.js";
import { serverName } from "../canvas/masks.js";
import { selectionAt } from "./selection.js";
import { upload } from "../net/server.js";

/** The colours that overlays use, in the same order (media/draw.py). */
export const COLOURS = ["#ffd60a", "#40c4ff", "#ff6e40", "#69f0ae", "#ff80be", "#b28cff", "#e6ee5a", "#ffffff"];
export const SIDES = { small: 512, medium: 768, large: 1280 };

/** @type {Document} */
export const EMPTY = {
  picture: null, size: null, frames: 25, fps: 12, fit: "crop", loop: false, seed: 0, renderer: "warp",
  diffusion: null, region: null, controls: [],
};

let lastId = 0;

/**
 * A new control with the usual timing.
 * @param {Document} document
 * @param {Record<string, any>} content
 * @returns {any}
 */
export function newControl(document, content) {
  const used = new Set(document.controls.map((control) => control.colour));
  const colour = COLOURS.find((candidate) => !used.has(candidate)) ?? COLOURS[document.controls.length % COLOURS.length];
  lastId += 1;
  const alike = document.controls.filter((control) => kindOf(control) === kindOf({ points: [], ...content }));
  const number = 1 + Math.max(0, ...alike.map((control) => control.number ?? 0));
  return {
    id: lastId, number, colour, strength: 1, region: null, start: 0, end: null, ease: "linear", thereAndBack: false, ...content,
  };
}

/** A control like another, with a number and a colour of its own. */
export function copied(document, control) {
  const { colour, id, number } = newControl(document, control.kind === "track" ? { kind: "track", points: control.points } : { kind: control.kind });
  return { ...control, colour, id, number, name: undefined };
}

/**
 * A document as it was kept: what has been added to documents since then gets its usual value.
 * @param {Document} kept
 * @returns {Document}
 */
export function adopted(kept) {
  lastId = Math.max(lastId, ...kept.controls.map(({ id }) => id));
  return { ...EMPTY, ...kept };
}

/** Whether a control holds the picture's border. */
export const isBorder = (control) => control.kind === "still" && Boolean(control.region) && "border" in control.region;

/** Whether a control is an anchor: a track of one point. */
export const isAnchor = (control) => control.kind === "track" && control.points.length === 1;

/** "track", "anchor", "tracks", "camera", "reference", "landmarks", "transform", "sway", "still". */
export const kindOf = (control) => (isAnchor(control) ? "anchor" : control.kind);

/**
 * A new control that drives a face.
 * @param {Document} document
 * @param {Record<string, any>} content
 */
export function newFace(document, content) {
  return newControl(document, {
    kind: "landmarks", driver: "signal", face: 1, points: null, mouth: 1, eyes: 1, brows: 1, pose: 1, absolute: false,
    maxSeconds: 600, ...content,
  });
}

/** Controls keep their share of a clip that becomes longer or shorter. */
export function retimed(document, frames) {
  const share = (frames - 1) / (document.frames - 1);
  const controls = document.controls.map((control) => {
    if (control.kind === "landmarks") return control;
    const start = Math.min(frames - 2, Math.round(control.start * share));
    const end = control.end === null ? null : Math.max(start + 1, Math.min(frames - 1, Math.round(control.end * share)));
    return { ...control, start, end };
  });
  return { frames, controls };
}

/**
 * The clip's size at a long side, even as videos want it.
 * @param {Picture} picture
 * @param {number} side
 * @returns {[number, number]}
 */
export function sizeAt(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const held = (length) => Math.max(16, 2 * Math.round((length * scale) / 2));
  return [held(picture.width), held(picture.height)];
}

/**
 * What the server is asked: files are uploaded by then. Without frames, a driven face says how long the clip is.
 * @param {Document} document
 */
export async function toScene(document) {
  /** @type {Record<string, any>} */
  const scene = {
    picture: document.picture?.name, fit: document.fit, loop: document.loop, seed: document.seed,
    renderer: document.renderer, controls: await Promise.all(document.controls.filter((control) => !control.hidden).map(toControl)),
  };
  if (document.frames) scene.frames = document.frames;
  if (document.fps) scene.fps = document.fps;
  if (document.size) scene.size = `${document.size[0]}x${document.size[1]}`;
  if (document.diffusion) scene.diffusion = document.diffusion;
  if (document.region) scene.region = await toRegion(document.region);
  return scene;
}

async function toControl(control) {
  if (control.kind === "landmarks") return toDrivenFace(control);
  if (control.kind === "sway" || control.kind === "still") return toUntimed(control);
  const scene = { strength: control.strength, colour: control.colour, start: control.start, ease: control.ease, there_and_back: control.thereAndBack, ...control.carried };
  if (control.end !== null) scene.end = control.end;
  if (control.region) scene.region = await toRegion(control.region);
  switch (control.kind) {
    case "track":
      return { kind: "track", points: control.points, ...scene };
    case "tracks":
      return { kind: "track", file: control.file, ...scene };
    case "camera":
      return { kind: "camera", move: wordsFromMove(control.move), ...depthOf(control), ...scene };
    case "transform":
      return { kind: "transform", keys: control.keys.map((key) => ({ at: key.at, move: wordsFromPose(key), ease: key.ease })), ...scene };
    default:
      return { kind: "reference", video: control.video, ...scene };
  }
}

const depthOf = ({ depth, parallax = 1 }) => (depth ? { depth, parallax } : {});

/** What has no beginning and no end. */
async function toUntimed(control) {
  const { kind, colour, strength, like, amount, direction, rounds } = control;
  const region = control.region && (await toRegion(control.region));
  return kind === "sway" ? { kind, colour, strength, region, like, amount, direction, rounds } : { kind, colour, region };
}

async function toDrivenFace(control) {
  const { kind, source, file, colour, driver, face, strength, mouth, eyes, brows, pose, absolute, maxSeconds } = control;
  const scene = { kind, [source]: file, colour, driver, face, strength, mouth, eyes, brows, pose, absolute, max_seconds: maxSeconds };
  if (control.points) scene.landmarks = await pointsFile(control.points);
  if (control.region) scene.region = await toRegion(control.region);
  return scene;
}

const pointsFiles = new WeakMap();

/** The name of the file of points that were set by hand; uploaded once. */
function pointsFile(points) {
  if (!pointsFiles.has(points)) {
    pointsFiles.set(points, upload("landmarks", new Blob([JSON.stringify(points)]), "points.json").then(({ name }) => name));
  }
  return pointsFiles.get(points);
}

async function toRegion(region) {
  return region.mask ? { mask: await serverName(region.mask) } : region;
}

/**
 * The document that a scene describes.
 * @param {Record<string, any>} scene
 * @param {Picture} picture
 * @param {Record<string, [number, number][]>} points of faces, set by hand, by their file's name
 * @returns {Document}
 */
export function fromScene(scene, picture, points = {}) {
  /** @type {Document} */
  const document = {
    ...EMPTY, picture, frames: scene.frames ?? EMPTY.frames, fps: scene.fps ?? EMPTY.fps, fit: scene.fit, loop: scene.loop, seed: scene.seed,
    renderer: scene.renderer ?? "warp", diffusion: scene.diffusion ?? null, region: fromRegion(scene.region, picture),
    size: scene.size ? scene.size.split("x").map(Number) : sizeAt(picture, SIDES.large),
  };
  for (const control of scene.controls) {
    if (control.kind === "landmarks") {
      document.controls = [...document.controls, newFace(document, drivenFace(control, picture, points))];
      continue;
    }
    const timed = {
      strength: control.strength ?? 1, region: fromRegion(control.region, picture), start: control.start ?? 0,
      end: control.end ?? null, ease: control.ease ?? "linear", thereAndBack: control.there_and_back ?? false, ...colourOf(control),
      carried: carried(control),
    };
    if (control.kind === "still" && control.mask) timed.region = { mask: control.mask };
    document.controls = [...document.controls, newControl(document, { ...content(control, picture), ...timed })];
  }
  return document;
}

/** What the page has no handle for, and hands back as it came. */
function carried(control) {
  return Object.fromEntries(["rotate", "scale", "with_shadow"].filter((key) => key in control).map((key) => [key, control[key]]));
}

function drivenFace(control, picture, points) {
  const byHand = points[control.landmarks] ?? null;
  if (byHand) pointsFiles.set(byHand, Promise.resolve(control.landmarks));
  const source = ["speech", "video", "file"].find((name) => control[name]) ?? "file";
  const { driver, strength, mouth, eyes, brows, pose, absolute } = control;
  return {
    ...colourOf(control), source, file: control[source], driver, strength, mouth, eyes, brows, pose, absolute, points: byHand,
    face: Array.isArray(control.face) ? inPixels(control.face, picture) : control.face,
    region: fromRegion(control.region, picture), maxSeconds: control.max_seconds,
  };
}

/** A scene need not say its colours: then the next free one is taken. */
const colourOf = ({ colour }) => (colour ? { colour } : {});

function content(control, picture) {
  switch (control.kind) {
    case "camera":
      return { kind: "camera", move: moveFromWords(control.move, picture), ...depthOf(control) };
    case "reference":
      return { kind: "reference", video: control.video };
    case "transform": {
      const keys = control.keys?.length ? control.keys : [{ at: 1, move: control.move, ease: "linear" }];
      return { kind: "transform", keys: keys.map(({ at, move, ease }) => ({ ...poseFromWords(move, picture), at: Number(at), ease: ease ?? "linear" })) };
    }
    case "sway": {
      const { kind, like, amount, direction, rounds } = control;
      return { kind, like, amount, direction, rounds };
    }
    case "still":
      return { kind: "still" };
    default:
      return control.file
        ? { kind: "tracks", file: control.file }
        : { kind: "track", points: control.points.map((point) => inPixels(point, picture)) };
  }
}

function fromRegion(region, picture) {
  if (!region) return null;
  if (region.mask) return { mask: region.mask };
  if (region.border) return { border: region.border };
  return { select: typeof region.select === "string" ? region.select : selectionAt(inPixels(region.select, picture)) };
}

/** Percent count from the first pixel to the last. */
function inPixels(point, { width, height }) {
  return point.map((value, axis) =>
    typeof value === "string" ? (parseFloat(value) / 100) * ([width, height][axis] - 1) : value);
}
