/** Tools that say where things may move: brush, eraser, and a click on a thing. */

import { penOf } from "../elements/dom.js";
import { parsed, selectionAt, wordsOf } from "../state/selection.js";
import { newMask, serverName } from "./masks.js";

/** Whose region is painted: the selected control's, else the whole scene's. */
function regionOwner(store) {
  const control = store.selected;
  return control && control.kind !== "camera" ? control : null;
}

/** Replaces the region of the selected control, or the scene's. */
export function setRegion(store, region) {
  const owner = regionOwner(store);
  if (owner) store.editControl(owner.id, { region });
  else store.edit({ region });
}

/** Whose region is painted with the brush, and how it gets it. */
const SELECTED = { of: regionOwner, set: (store, _, region) => setRegion(store, region) };

/**
 * A tool that paints a region.
 * @param {GlobalCompositeOperation} operation
 * @param {{of: (store: any) => any, set: (store: any, owner: any, region: import("../state/scene.js").Region) => void}} whose
 */
export const paintingTool = (operation, whose = SELECTED) => ({
  cursor: "none",
  down(stage, point) {
    const { store, viewport } = stage;
    const { picture } = store.document;
    const owner = whose.of(store);
    const region = (owner ?? (whose === SELECTED ? store.document : null))?.region ?? null;
    if (operation === "destination-out" && !region) return null;
    const mask = newMask(picture, stage.regions.canvas(region, picture));
    const pen = penOf(mask.canvas);
    Object.assign(pen, {
      globalCompositeOperation: operation, lineCap: "round", lineJoin: "round", strokeStyle: "#fff",
      lineWidth: (store.view.brush / viewport.scale) * mask.scale,
    });
    const onMask = ([x, y]) => /** @type {[number, number]} */ ([(x + 0.5) * mask.scale, (y + 0.5) * mask.scale]);
    let last = onMask(point);
    const strokeTo = (place) => {
      const next = onMask(place);
      pen.beginPath();
      pen.moveTo(...last);
      // A press alone leaves a dot: a line of no length is none.
      pen.lineTo(next[0] + 0.01, next[1]);
      pen.stroke();
      last = next;
      store.follow({ painting: mask.canvas });
    };
    strokeTo(point);
    return {
      move: strokeTo,
      up() {
        store.look({ painting: null });
        const blank = isBlank(mask.canvas);
        // On its way at once: leaving the page must not lose it.
        if (!blank) serverName(mask.name);
        whose.set(store, owner, blank ? null : { mask: mask.name });
      },
      cancel: () => store.look({ painting: null }),
    };
  },
});

export const brushTool = paintingTool("source-over");
export const eraseTool = paintingTool("destination-out");

function isBlank(canvas) {
  const { data } = penOf(canvas).getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 3; k < data.length; k += 4) if (data[k] > 127) return false;
  return true;
}

export const pickTool = {
  cursor: "crosshair",
  down(stage, point, event) {
    const { viewport } = stage;
    if (!viewport.contains(point)) return null;
    const place = viewport.inside(point).map(Math.round);
    stage.things.at(stage.store.document.picture, place);
    return { up: () => picked(stage, place, event.altKey) };
  },
};

/** A click adds a thing to what may move, with Alt it takes it away; the first one is all that may. */
function picked(stage, place, away) {
  const { store, things, regions } = stage;
  const { picture } = store.document;
  const before = (regionOwner(store) ?? store.document).region;
  if (!before) {
    if (!away) setRegion(store, { select: selectionAt(place) });
    return;
  }
  if ("select" in before) {
    const selection = parsed(before.select, picture);
    (away ? selection.beside : selection.on).push(place);
    setRegion(store, { select: wordsOf(selection) });
    return;
  }
  const thing = things.at(picture, place);
  if (thing === "looking") {
    const again = () => (regionOwner(store) ?? store.document).region === before && picked(stage, place, away);
    things.addEventListener("change", again, { once: true });
    return;
  }
  const canvas = regions.canvas(before, picture);
  if (thing === "nothing" || !canvas) return;
  const mask = newMask(picture, canvas);
  const pen = penOf(mask.canvas);
  pen.globalCompositeOperation = away ? "destination-out" : "source-over";
  pen.drawImage(thing.canvas, 0, 0, mask.canvas.width, mask.canvas.height);
  const blank = isBlank(mask.canvas);
  if (!blank) serverName(mask.name);
  setRegion(store, blank ? null : { mask: mask.name });
}
