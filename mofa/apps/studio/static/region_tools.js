/** Tools that say where things may move: brush, eraser, and a click on a thing. */

import { loaded, maskCanvas, newMask } from "./masks.js";
import { select } from "./server.js";

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

/** What a click selects, found by the server once per place. */
const selections = new Map();

/** The canvas of a selected region, or null while the server looks for it. */
function selectionCanvas(picture, place, arrived) {
  const key = `${picture.name} ${place}`;
  if (!selections.has(key)) {
    selections.set(key, null);
    select(picture.name, place).then(({ mask }) => loaded(mask)).then((canvas) => {
      selections.set(key, canvas);
      arrived();
    }, () => selections.delete(key));
  }
  return selections.get(key);
}

/** The painted canvas of a region of either kind. */
export function regionCanvas(region, picture, arrived) {
  return region.mask ? maskCanvas(region.mask, arrived) : selectionCanvas(picture, region.select, arrived);
}

const painting = (operation) => ({
  cursor: "none",
  down(stage, point) {
    const { store, viewport } = stage;
    const { picture } = store.document;
    const region = (regionOwner(store) ?? store.document).region;
    if (operation === "destination-out" && !region) return null;
    const mask = newMask(picture, region && regionCanvas(region, picture, stage.redraw));
    const pen = mask.canvas.getContext("2d");
    Object.assign(pen, {
      globalCompositeOperation: operation, lineCap: "round", lineJoin: "round", strokeStyle: "#fff",
      lineWidth: (store.view.brush / viewport.scale) * mask.scale,
    });
    const onMask = ([x, y]) => [(x + 0.5) * mask.scale, (y + 0.5) * mask.scale];
    let last = onMask(point);
    const strokeTo = (place) => {
      const next = onMask(place);
      pen.beginPath();
      pen.moveTo(...last);
      pen.lineTo(...next);
      pen.stroke();
      last = next;
      store.look({ painting: mask.canvas });
    };
    strokeTo(point);
    return {
      move: strokeTo,
      up() {
        store.look({ painting: null });
        setRegion(store, isBlank(mask.canvas) ? null : { mask: mask.name });
      },
      cancel: () => store.look({ painting: null }),
    };
  },
});

export const brushTool = painting("source-over");
export const eraseTool = painting("destination-out");

function isBlank(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 3; k < data.length; k += 4) if (data[k] > 127) return false;
  return true;
}

export const pickTool = {
  cursor: "crosshair",
  down(stage, point) {
    const { viewport, store } = stage;
    if (!viewport.contains(point)) return null;
    return { up: () => setRegion(store, { select: viewport.inside(point).map(Math.round) }) };
  },
};
