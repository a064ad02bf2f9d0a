/** Files that come in by picker, drop or paste, and what each becomes. */

import { h } from "../elements/dom.js";
import { adopted, EMPTY, fromScene, newControl, newFace, retimed, SIDES, sizeAt, toScene } from "../state/scene.js";
import { landmarks, namedScene, openScene, upload } from "./server.js";
import { t } from "../state/texts.js";

/** Bytes of a scene's text. */
const LARGEST_SCENE = 1 << 20;

/**
 * @param {import("../state/store.js").Store} store
 * @param {Record<string, string>} accept kind of file -> its suffixes
 * @param {(work: Promise<unknown>, part: string) => Promise<void>} busy shows that work is going on, and what went wrong beside that part of the page
 */
export function makeFiles(store, accept, busy) {
  const suffixes = Object.fromEntries(Object.entries(accept).map(([kind, list]) => [kind, list.split(",")]));

  /** What a file is by its name, as far as that tells. */
  function kindOf(file) {
    const name = nameFor(file).toLowerCase();
    return Object.keys(suffixes).find((kind) => kind !== "mask" && kind !== "landmarks" && suffixes[kind].some((suffix) => name.endsWith(suffix)));
  }

  /** What is refused is said where it would have landed. */
  const landing = () => (store.document.picture ? "photo" : "drop");
  const partOf = (file) => (store.document.picture && kindOf(file) === "speech" ? "face" : landing());

  async function take(file) {
    const named = kindOf(file);
    const kind = named === "tracks" && (await isScene(file)) ? "scene" : named;
    if (!kind) throw new Error(t("file.unknown", { name: file.name }));
    if (kind !== "photo" && kind !== "scene" && !store.document.picture) throw new Error(t("file.photo_first"));
    if (kind === "speech" || (kind === "video" && store.view.tool === "face")) return drive(kind, file, nameFor(file));
    const landed = await upload(kind, file, nameFor(file));
    return { photo: showPhoto, scene: showScene, video: addReference, tracks: addTracks }[kind](landed);
  }

  /** Lets a file drive the chosen face; the clip becomes as long as that lasts. */
  async function drive(kind, file, name) {
    const landed = await upload(kind, file, name);
    const { document, view } = store;
    const source = kind === "landmarks" ? "file" : kind;
    const face = newFace(document, { source, file: landed.name, face: view.face ?? 1 });
    const clip = await landmarks(await toScene({ ...document, controls: [face], frames: 0, fps: 0 }));
    const { controls } = retimed(document, clip.frames);
    store.edit({ controls: [...controls, face], frames: clip.frames, fps: clip.fps });
    store.look({ selected: face.id, point: null, tool: "face" });
  }

  function showPhoto(picture) {
    store.load({ ...EMPTY, picture, size: sizeAt(picture, SIDES.medium), renderer: store.document.renderer, diffusion: store.document.diffusion });
  }

  async function showScene({ name }) {
    await show(await openScene(name, store.document.picture?.name ?? null));
  }

  function addReference({ name }) {
    store.add(newControl(store.document, { kind: "reference", video: name }));
  }

  function addTracks({ name }) {
    store.add(newControl(store.document, { kind: "tracks", file: name }));
  }

  async function show({ document: kept, scene, picture, points }) {
    if (kept) {
      store.load(adopted(kept));
      return;
    }
    const document = fromScene(scene, picture, points);
    const faces = document.controls.filter(({ kind }) => kind === "landmarks");
    if (faces.length && !scene.frames) {
      const { frames, fps } = await landmarks(await toScene({ ...document, controls: faces, frames: 0, fps: scene.fps }));
      Object.assign(document, { frames, fps });
    }
    store.load(document);
  }

  function pick(kinds, taken, part = landing()) {
    const types = kinds.map((kind) => accept[kind]).join(",");
    const input = h("input", { type: "file", accept: kinds.includes("photo") ? `image/*,${types}` : types });
    input.addEventListener("change", () => input.files?.length && busy(taken(input.files[0]), part));
    input.click();
  }

  function listen(root, signal) {
    const over = (event) => {
      event.preventDefault();
      root.classList.toggle("dropping", event.type === "dragover");
    };
    const dropped = (event) => {
      over(event);
      const [file] = event.dataTransfer.files;
      if (file) busy(take(file), partOf(file));
    };
    const pasted = (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file) busy(take(file), partOf(file));
    };
    root.addEventListener("dragover", over, { signal });
    root.addEventListener("dragleave", over, { signal });
    root.addEventListener("drop", dropped, { signal });
    document.addEventListener("paste", pasted, { signal });
  }

  return {
    choose: (...kinds) => pick(kinds, take),
    choosePicture: (taken) => pick(["photo"], async (file) => taken((await upload("photo", file, nameFor(file))).name), "depth"),
    chooseDriver: (kind) => pick([kind], (file) => drive(kind, file, file.name), "face"),
    drive: (kind, file, name) => busy(drive(kind, file, name), "face"),
    listen,
    named: (name) => busy(namedScene(name).then(show), landing()),
  };
}

/** Whether a file that may be tracks is a scene; both are written as JSON. */
async function isScene(file) {
  if (!/\.json$/i.test(file.name) || file.size > LARGEST_SCENE) return false;
  return /"(controls|picture)"\s*:/.test(await file.text());
}

/** Pasted pictures are files without a telling name. */
function nameFor(file) {
  const type = file.type.split("/")[1];
  return /\.\w+$/.test(file.name) || !type ? file.name : `pasted.${type === "jpeg" ? "jpg" : type}`;
}
