/**
 * The photo in motion: layers of it on meshes that are bent afresh with every frame, or the frames of the true
 * preview. Drawn with WebGL; where there is none, the true preview alone is shown.
 * @typedef {{canvas: HTMLCanvasElement, box: [number, number, number, number], warp: import("./warp.js").Warp}} Layer
 */

import { h } from "../elements/dom.js";

/** Cells of a mesh, each way. */
const CELLS = 28;
const LONGEST = 1280;

const VERTEX = `
attribute vec2 place; attribute vec2 from; varying vec2 at;
void main() { at = from; gl_Position = vec4(place, 0.0, 1.0); }`;
const FRAGMENT = `
precision mediump float; varying vec2 at; uniform sampler2D picture;
void main() { gl_FragColor = texture2D(picture, at); }`;

export class Moving {
  element = h("canvas.moving", { "aria-hidden": "true", hidden: true });
  /** @type {WebGLRenderingContext | null | undefined} */
  #gl = undefined;
  /** @type {Map<TexImageSource, {texture: WebGLTexture, used: number}>} */
  #textures = new Map();
  #turn = 0;
  #places = new Float32Array(4 * (CELLS + 1) ** 2);

  /** Whether the photo itself can be bent here. */
  get bends() {
    return this.#context() !== null;
  }

  /** @param {number} width of the photo on the screen, in its pixels */
  resize(width, height) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const [w, h_] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (this.element.width === w && this.element.height === h_) return;
    Object.assign(this.element, { width: w, height: h_ });
  }

  /**
   * Draws layers over each other, the first one at the bottom.
   * @param {Layer[]} layers
   * @param {{width: number, height: number}} picture
   */
  drawLayers(layers, picture) {
    const gl = this.#begun();
    if (!gl) return;
    for (const { canvas, box, warp } of layers) {
      this.#bend(box, warp, picture);
      this.#paint(gl, canvas);
    }
    this.#forget();
  }

  /**
   * Draws a moment of the true preview.
   * @param {import("../state/preview.js").Sheet} sheet
   * @param {number} share of the clip that is over, 0..1
   * @param {{width: number, height: number}} picture
   * @param {string} fit how the clip lies in the photo where their shapes differ
   */
  drawSheet(sheet, share, picture, fit) {
    const frame = Math.round(share * (sheet.count - 1));
    const place = placeOf(sheet, picture, fit);
    const gl = this.#begun();
    const corner = /** @type {[number, number]} */ ([(frame % sheet.columns) * sheet.width, Math.floor(frame / sheet.columns) * sheet.height]);
    if (gl) this.#stamp(gl, sheet, corner, place);
    else this.#stampFlat(sheet, corner, place);
    this.#forget();
  }

  /** @returns {WebGLRenderingContext | null} */
  #context() {
    if (this.#gl === undefined) {
      this.#gl = this.element.getContext("webgl", { alpha: true, antialias: false, depth: false, preserveDrawingBuffer: true });
      if (this.#gl) prepare(this.#gl);
    }
    return this.#gl;
  }

  #begun() {
    this.#turn += 1;
    const gl = this.#context();
    const { width, height } = this.element;
    if (!gl) {
      this.element.getContext("2d")?.clearRect(0, 0, width, height);
      return null;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    return gl;
  }

  /** The mesh of a layer, at the places where its corners have gone. */
  #bend([left, top, right, bottom], warp, { width, height }) {
    let k = 0;
    for (let row = 0; row <= CELLS; row += 1) {
      for (let column = 0; column <= CELLS; column += 1) {
        const [u, v] = [column / CELLS, row / CELLS];
        const [x, y] = warp(left + u * (right - left), top + v * (bottom - top));
        this.#places[k] = (2 * (x + 0.5)) / width - 1;
        this.#places[k + 1] = 1 - (2 * (y + 0.5)) / height;
        this.#places[k + 2] = u;
        this.#places[k + 3] = v;
        k += 4;
      }
    }
  }

  #paint(gl, image) {
    this.#use(gl, image);
    gl.bufferData(gl.ARRAY_BUFFER, this.#places, gl.DYNAMIC_DRAW);
    gl.drawElements(gl.TRIANGLES, 6 * CELLS ** 2, gl.UNSIGNED_SHORT, 0);
  }

  #stamp(gl, { image, width, height }, [x, y], [left, top, right, bottom]) {
    const [w, h_] = [image.naturalWidth, image.naturalHeight];
    // Half a pixel inside, so that no neighbouring frame shows at the border.
    const [u0, u1, v0, v1] = [(x + 0.5) / w, (x + width - 0.5) / w, (y + 0.5) / h_, (y + height - 0.5) / h_];
    const stride = 4 * CELLS;
    for (let k = 0; k < this.#places.length; k += 4) {
      const [u, v] = [(k % (stride + 4)) / stride, Math.floor(k / (stride + 4)) / CELLS];
      this.#places[k] = 2 * (left + u * (right - left)) - 1;
      this.#places[k + 1] = 1 - 2 * (top + v * (bottom - top));
      this.#places[k + 2] = u0 + u * (u1 - u0);
      this.#places[k + 3] = v0 + v * (v1 - v0);
    }
    this.#paint(gl, image);
  }

  #stampFlat({ image, width, height }, [x, y], [left, top, right, bottom]) {
    const pen = this.element.getContext("2d");
    if (!pen) return;
    const { width: w, height: h_ } = this.element;
    pen.drawImage(image, x, y, width, height, left * w, top * h_, (right - left) * w, (bottom - top) * h_);
  }

  #use(gl, image) {
    let held = this.#textures.get(image);
    if (!held) {
      held = { texture: /** @type {WebGLTexture} */ (gl.createTexture()), used: 0 };
      gl.bindTexture(gl.TEXTURE_2D, held.texture);
      gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
      for (const [key, value] of [
        [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
        [gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      ]) gl.texParameteri(gl.TEXTURE_2D, key, value);
      this.#textures.set(image, held);
    }
    held.used = this.#turn;
    gl.bindTexture(gl.TEXTURE_2D, held.texture);
  }

  /** Lets go of pictures that were not drawn for a while. */
  #forget() {
    for (const [image, { texture, used }] of this.#textures) {
      if (this.#turn - used < 60) continue;
      this.#gl?.deleteTexture(texture);
      this.#textures.delete(image);
    }
  }
}

/**
 * Where a clip lies in the photo, as shares of it: left, top, right, bottom.
 * @returns {[number, number, number, number]}
 */
function placeOf(sheet, picture, fit) {
  const [across, down] = [sheet.width / picture.width, sheet.height / picture.height];
  // Shapes that differ by less than a pixel of the clip are the same.
  if (Math.abs(across - down) * Math.max(picture.width, picture.height) < 2) return [0, 0, 1, 1];
  const scale = fit === "crop" ? Math.max(across, down) : Math.min(across, down);
  const [w, h_] = [across / scale, down / scale];
  return [(1 - w) / 2, (1 - h_) / 2, (1 + w) / 2, (1 + h_) / 2];
}

/** Compiles the shaders and lays out the mesh. */
function prepare(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.bindAttribLocation(made, 0, "place");
  gl.bindAttribLocation(made, 1, "from");
  gl.linkProgram(made);
  gl.useProgram(made);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  for (const [index, offset] of [[0, 0], [1, 8]]) {
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, 2, gl.FLOAT, false, 16, offset);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, cells(), gl.STATIC_DRAW);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
}

function cells() {
  const corners = [];
  for (let row = 0; row < CELLS; row += 1) {
    for (let column = 0; column < CELLS; column += 1) {
      const a = row * (CELLS + 1) + column;
      const c = a + CELLS + 1;
      corners.push(a, a + 1, c, c, a + 1, c + 1);
    }
  }
  return new Uint16Array(corners);
}
