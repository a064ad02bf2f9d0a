/**
 * The canvas's document and the scene that the server knows, one into the other.
 * @typedef {{mask: string} | {select: [number, number]} | null} Region
 * @typedef {{id: number, colour: string, strength: number, region: Region, start: number, end: number | null,
 *   ease: import("./curve.js").Ease, thereAndBack: boolean}} Timed
 * @typedef {Timed & {kind: "track", points: [number, number][]}} Track one point is an anchor
 * @typedef {Timed & {kind: "tracks", file: string}} TrackFile
 * @typedef {Timed & {kind: "camera", move: import("./camera.js").Move}} Camera
 * @typedef {Timed & {kind: "reference", video: string}} Reference
 * @typedef {Track | TrackFile | Camera | Reference} Control
 * @typedef {{name: string, width: number, height: number}} Picture
 * @typedef {{picture: Picture | null, size: [number, number] | null, frames: number, fps: number, fit: string,
 *   loop: boolean, seed: number, renderer: string, diffusion: Record<string, any> | null, region: Region,
 *   controls: Control[]}} Document
 */

import { moveFromWords, wordsFromMove } from "./camera.js";
import { serverName } from "./masks.js";

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
 * @param {Partial<Control>} content
 * @returns {Control}
 */
export function newControl(document, content) {
  const used = new Set(document.controls.map((control) => control.colour));
  const colour = COLOURS.find((candidate) => !used.has(candidate)) ?? COLOURS[document.controls.length % COLOURS.length];
  lastId += 1;
  return {
    id: lastId, colour, strength: 1, region: null, start: 0, end: null, ease: "linear", thereAndBack: false, ...content,
  };
}

/** Whether a control is an anchor: a track of one point. */
export const isAnchor = (control) => control.kind === "track" && control.points.length === 1;

/** The clip's size at a long side, even as videos want it. */
export function sizeAt(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  return [picture.width, picture.height].map((length) => Math.max(16, 2 * Math.round((length * scale) / 2)));
}

/**
 * What the server is asked: files are uploaded by then.
 * @param {Document} document
 */
export async function toScene(document) {
  const scene = {
    picture: document.picture.name, frames: document.frames, fps: document.fps, fit: document.fit,
    loop: document.loop, seed: document.seed, renderer: document.renderer,
    controls: await Promise.all(document.controls.map(toControl)),
  };
  if (document.size) scene.size = `${document.size[0]}x${document.size[1]}`;
  if (document.diffusion) scene.diffusion = document.diffusion;
  if (document.region) scene.region = await toRegion(document.region);
  return scene;
}

async function toControl(control) {
  const scene = { strength: control.strength, start: control.start, ease: control.ease, there_and_back: control.thereAndBack };
  if (control.end !== null) scene.end = control.end;
  if (control.region) scene.region = await toRegion(control.region);
  switch (control.kind) {
    case "track":
      return { kind: "track", points: control.points, ...scene };
    case "tracks":
      return { kind: "track", file: control.file, ...scene };
    case "camera":
      return { kind: "camera", move: wordsFromMove(control.move), ...scene };
    default:
      return { kind: "reference", video: control.video, ...scene };
  }
}

async function toRegion(region) {
  return region.mask ? { mask: await serverName(region.mask) } : region;
}

/**
 * The document that a scene describes.
 * @param {Record<string, any>} scene
 * @param {Picture} picture
 * @returns {Document}
 */
export function fromScene(scene, picture) {
  const document = {
    ...EMPTY, picture, frames: scene.frames, fps: scene.fps, fit: scene.fit, loop: scene.loop, seed: scene.seed,
    renderer: scene.renderer ?? "warp", diffusion: scene.diffusion ?? null, region: fromRegion(scene.region, picture),
    size: scene.size ? scene.size.split("x").map(Number) : sizeAt(picture, SIDES.large),
  };
  for (const control of scene.controls) {
    const timed = {
      strength: control.strength, region: fromRegion(control.region, picture), start: control.start,
      end: control.end ?? null, ease: control.ease, thereAndBack: control.there_and_back,
    };
    document.controls = [...document.controls, newControl(document, { ...content(control, picture), ...timed })];
  }
  return document;
}

function content(control, picture) {
  switch (control.kind) {
    case "camera":
      return { kind: "camera", move: moveFromWords(control.move, picture) };
    case "reference":
      return { kind: "reference", video: control.video };
    default:
      return control.file
        ? { kind: "tracks", file: control.file }
        : { kind: "track", points: control.points.map((point) => inPixels(point, picture)) };
  }
}

function fromRegion(region, picture) {
  if (!region) return null;
  return region.mask ? { mask: region.mask } : { select: inPixels(region.select, picture) };
}

/** Percent count from the first pixel to the last. */
function inPixels(point, { width, height }) {
  return point.map((value, axis) =>
    typeof value === "string" ? (parseFloat(value) / 100) * ([width, height][axis] - 1) : value);
}
