/** The photo as it is at the playhead, or under the hand: still, the browser's guess, or the true preview. */

import { show } from "../elements/dom.js";
import { extentOf } from "./outline.js";
import { mapOf, poseOf } from "./pose.js";
import { editedAt } from "./thing_tools.js";
import { nearby, pullsAt, seenAt, together } from "./warp.js";

/** How fine the photo is drawn under a hand that it could not follow otherwise. */
const COARSE = 0.5;

/**
 * Draws the photo as it is at the playhead, or under the hand; says what is shown: "still", "guess", "true".
 * @param {import("./stage.js").Stage} stage
 */
export function drawPhoto(stage) {
  const { store, player, preview, pieces, moving } = stage;
  const { document, view } = store;
  const { picture, frames } = document;
  const { sheet } = preview;
  show(stage.flow, Boolean(view.flow && sheet));
  if (view.flow && sheet && stage.flow.src !== sheet.flow) stage.flow.src = sheet.flow;
  const drafted = draftPull(stage);
  const posing = view.tool === "transform" && stage.store.selected?.kind === "transform" && !player.playing && player.frame === 0;
  const held = posing || (stage.gesture && view.drawing && !drafted) ? heldFrame(stage) : null;
  const frame = held ?? player.frame;
  const wanted = Boolean(drafted) || frame > 0 || player.playing;
  if (!picture || !wanted || !pieces.ready) {
    show(moving.element, false);
    return "still";
  }
  const fineness = stage.viewport.scale * devicePixelRatio * (stage.lags ? COARSE : 1);
  moving.resize(picture.width * fineness, picture.height * fineness);
  if (sheet && !drafted && held === null) {
    moving.drawSheet(sheet, frame / (frames - 1), picture, document.fit);
    show(moving.element, true);
    return "true";
  }
  if (!moving.bends) return "still";
  moving.drawLayers(layersAt(stage, frame, drafted), picture);
  show(moving.element, true);
  return "guess";
}

/**
 * The photo's parts, and where each of them is at a frame.
 * @param {import("./stage.js").Stage} stage
 * @param {number} frame
 * @param {{pull: import("./warp.js").Pull, mask: HTMLCanvasElement | null} | null} drafted
 * @returns {import("./moving.js").Layer[]}
 */
function layersAt(stage, frame, drafted) {
  const { pieces, regions, store } = stage;
  const { controls, region, frames } = store.document;
  const picture = /** @type {import("../state/scene.js").Picture} */ (store.document.picture);
  const seen = seenAt(controls, drafted ? 0 : frame, frames, picture);
  const through = (warp) => (seen ? (x, y) => seen(...(/** @type {[number, number]} */ (warp(x, y)))) : warp);
  const now = drafted ? 0 : frame;
  /** @type {Map<HTMLCanvasElement, {pulls: import("./warp.js").Pull[], maps: import("./warp.js").Warp[]}>} */
  const things = new Map();
  const partsOf = (mask) => things.get(mask) ?? things.set(mask, { pulls: [], maps: [] }).get(mask);
  const loose = [];
  for (const control of controls) {
    if (control.hidden || (control.kind !== "track" && control.kind !== "transform")) continue;
    const mask = regions.canvas(control.region ?? region, picture);
    if (control.kind === "transform") {
      if (mask) partsOf(mask)?.maps.push(mapOf(poseOf(control, now, frames), extentOf(mask, picture).centre));
    } else if (mask) partsOf(mask)?.pulls.push(...pullsAt([control], now, frames));
    else loose.push(...pullsAt([control], now, frames));
  }
  if (drafted?.mask) partsOf(drafted.mask)?.pulls.push(drafted.pull);
  else if (drafted) loose.push(drafted.pull);
  // A thing is bent as it lies in the photo, and carried away then.
  const all = ({ pulls, maps }) => [...(pulls.length ? [together(pulls)] : []), ...maps];
  const inTurn = (warps) => (x, y) => warps.reduce((place, warp) => warp(...place), [x, y]);
  const whole = pieces.photo;
  const box = /** @type {[number, number, number, number]} */ ([-0.5, -0.5, picture.width - 0.5, picture.height - 0.5]);
  const still = (x, y) => /** @type {[number, number]} */ ([x, y]);
  const ground = { canvas: things.size ? pieces.ground([...things.keys()]) : whole, box, warp: through(loose.length ? nearby(loose, picture) : still) };
  return [ground, ...[...things].map(([mask, parts]) => ({ ...pieces.cut(mask, picture), warp: through(inTurn(all(parts))) }))];
}

/**
 * What the line that is being drawn moves, and where the hand has taken it.
 * @param {import("./stage.js").Stage} stage
 */
function draftPull(stage) {
  const { drafting, drawing } = stage.store.view;
  const { picture } = stage.store.document;
  if (!drafting || !drawing || drafting.length < 2 || !picture) return null;
  const thing = stage.things.at(picture, drafting[0]);
  if (thing === "looking") return null;
  return {
    pull: { from: drafting[0], to: drafting[drafting.length - 1] },
    mask: typeof thing === "object" && stage.things.meant(thing) ? thing.canvas : null,
  };
}

/**
 * While a line is changed by hand the photo is shown where the line ends.
 * @param {import("./stage.js").Stage} stage
 */
function heldFrame(stage) {
  const control = stage.store.selected;
  if (!control || control.kind === "landmarks") return null;
  const last = stage.store.document.frames - 1;
  if (control.kind === "transform" && editedAt(control, stage.player.frame, last + 1) < 1) return stage.player.frame;
  if (!("start" in control)) return null;
  if (!control.thereAndBack) return control.end ?? last;
  return (control.start + (control.end ?? last)) / 2;
}
