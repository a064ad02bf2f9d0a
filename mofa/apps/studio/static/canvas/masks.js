/**
 * Painted masks: white on transparent, at most MASK_SIDE long. Each stroke makes a new mask, the old one stays
 * for undo; the server gets a mask when a scene first needs it there.
 */

import { penOf, readablePenOf } from "../elements/dom.js";
import { fileAddress, upload } from "../net/server.js";
import { pending } from "../state/pending.js";

const MASK_SIDE = 1024;

/** @type {Map<string, {canvas: HTMLCanvasElement | null, uploaded: Promise<string> | null}>} */
const masks = new Map();
let lastMask = 0;

/**
 * A new mask for a picture, over a copy of another if one is given.
 * @returns {{name: string, canvas: HTMLCanvasElement, scale: number}} scale: mask pixels per picture pixel
 */
export function newMask(picture, from = null) {
  const scale = Math.min(1, MASK_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = readablePenOf(canvas);
  if (from) pen.drawImage(from, 0, 0, canvas.width, canvas.height);
  lastMask += 1;
  const name = `local-${lastMask}`;
  masks.set(name, { canvas, uploaded: null });
  return { name, canvas, scale: canvas.width / picture.width };
}

/** @type {WeakMap<object, string>} */
const whole = new WeakMap();

/** The name of the mask that lets all of a picture move. */
export function wholeMask(picture) {
  let name = whole.get(picture);
  if (!name) {
    const mask = newMask(picture);
    penOf(mask.canvas).fillStyle = "#fff";
    penOf(mask.canvas).fillRect(0, 0, mask.canvas.width, mask.canvas.height);
    name = mask.name;
    whole.set(picture, name);
  }
  return name;
}

/** Longest side of a border that is drawn: it is soft. */
const BORDER_SIDE = 320;
/** @type {Map<string, HTMLCanvasElement>} */
const borders = new Map();

/** A picture's border, so many percent of its longer side wide: as control/brush.py has it. */
export function borderCanvas({ width, height }, percent) {
  const key = `${width} ${height} ${percent}`;
  let canvas = borders.get(key);
  if (!canvas) {
    canvas = document.createElement("canvas");
    const scale = BORDER_SIDE / Math.max(width, height);
    const [w, h] = [canvas.width, canvas.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const pixels = penOf(canvas).createImageData(w, h);
    pixels.data.fill(255);
    const reach = (percent / 100) * BORDER_SIDE;
    for (let y = 0, k = 3; y < h; y += 1) {
      for (let x = 0; x < w; x += 1, k += 4) {
        pixels.data[k] = 255 * Math.min(1, Math.max(0, 2 - (2 * Math.min(x, y, w - 1 - x, h - 1 - y)) / reach));
      }
    }
    penOf(canvas).putImageData(pixels, 0, 0);
    borders.set(key, canvas);
  }
  return canvas;
}

/** The painted canvas of a mask, or null while it is on its way. `arrived` is called when it is there. */
export function maskCanvas(name, arrived) {
  let mask = masks.get(name);
  if (!mask) {
    const coming = mask = { canvas: /** @type {HTMLCanvasElement | null} */ (null), uploaded: Promise.resolve(name) };
    masks.set(name, coming);
    pending(loaded(fileAddress(name))).then((canvas) => {
      coming.canvas = canvas;
      arrived();
    }, () => masks.delete(name));
  }
  return mask.canvas;
}

/** The name that the server knows a mask by; uploads it where that has not happened yet. */
export function serverName(name) {
  const mask = masks.get(name);
  if (!mask?.canvas) return Promise.resolve(name);
  mask.uploaded ??= pending(uploaded(mask.canvas));
  return mask.uploaded;
}

async function uploaded(canvas) {
  const opaque = document.createElement("canvas");
  [opaque.width, opaque.height] = [canvas.width, canvas.height];
  const pen = penOf(opaque);
  pen.fillRect(0, 0, opaque.width, opaque.height);
  pen.drawImage(canvas, 0, 0);
  const blob = await new Promise((resolve) => opaque.toBlob((made) => resolve(/** @type {Blob} */ (made)), "image/png"));
  return (await upload("mask", blob, "mask.png")).name;
}

/**
 * A white-on-black picture as a white-on-transparent canvas.
 * @param {string} address
 */
export async function loaded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = readablePenOf(canvas);
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 0; k < pixels.data.length; k += 4) {
    pixels.data[k + 3] = pixels.data[k];
    pixels.data.fill(255, k, k + 3);
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}
