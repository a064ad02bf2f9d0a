/** Keyboard shortcuts of the whole page. */

import { addCopies, deleteSelected, duplicateSelected, finishDraft, nudgeSelected, reorderSelected } from "../canvas/shape_tools.js";

/** Tool -> its key. */
export const TOOL_KEYS = { draw: "D", transform: "T", sway: "W", anchor: "A", still: "S", select: "V", brush: "B", erase: "E", pick: "R", camera: "C", face: "F", hand: "H" };

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const MOVING = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

/** Whether a key belongs to what has the focus: text fields take them all, others only those that work them. */
function isTaken({ key, target, ctrlKey, metaKey }) {
  if (target.closest("input:is([type=text], [type=number]), textarea, dialog")) return true;
  if (target.closest("select, input[type=range], [role=slider]")) return MOVING.includes(key);
  if (target.closest("input")) return key === " ";
  return ["Enter", " "].includes(key) && !ctrlKey && !metaKey && Boolean(target.closest("button, a, summary, [role=tab], video"));
}

/**
 * @param {import("./store.js").Store} store
 * @param {import("../canvas/stage.js").Stage} stage
 * @param {import("./player.js").Player} player
 * @param {{isOpen: boolean, key: (event: KeyboardEvent) => boolean}} results whose keys are others while they are open
 * @param {{open: () => void}} sheet
 * @param {AbortSignal} signal ends it
 */
export function listenToKeys(store, stage, player, results, sheet, signal) {
  const withControl = {
    z: (event) => (event.shiftKey ? store.redo() : store.undo()),
    y: () => store.redo(),
    a: () => store.look({ selected: store.document.controls[0]?.id ?? null, also: store.document.controls.slice(1).map(({ id }) => id), point: null }),
    d: () => duplicateSelected(stage),
    Enter: () => document.getElementById("generate")?.click(),
  };
  const plain = {
    Delete: () => deleteSelected(store),
    Backspace: () => deleteSelected(store),
    Escape: () => {
      if (!stage.drop()) store.look(store.view.drafting ? { drafting: null } : { selected: null, also: [], point: null, spared: null });
    },
    Enter: () => finishDraft(stage),
    " ": () => player.toggle(),
    "[": () => store.look({ brush: Math.max(4, store.view.brush - 6) }),
    "]": () => store.look({ brush: Math.min(200, store.view.brush + 6) }),
    "?": () => sheet.open(),
    "+": () => stage.zoom(1.25),
    "=": () => stage.zoom(1.25),
    "-": () => stage.zoom(0.8),
    0: () => stage.zoom(null),
    ",": () => stepPoint(store, -1),
    ".": () => stepPoint(store, 1),
    PageUp: () => stepControl(store, -1),
    PageDown: () => stepControl(store, 1),
  };
  for (const [tool, key] of Object.entries(TOOL_KEYS)) plain[key.toLowerCase()] = () => store.look({ tool });

  const pressed = (event) => {
    if (isTaken(event) || !store.document.picture) return;
    if (results.isOpen) {
      if (results.key(event)) event.preventDefault();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const way = ARROWS[key];
    let action = event.ctrlKey || event.metaKey ? withControl[key] : plain[key];
    if (way && event.altKey) action = () => reorderSelected(store, way[1]);
    else if (way && store.view.selected) {
      const step = (event.shiftKey ? 10 : 1) / stage.viewport.scale;
      action = () => nudgeSelected(stage, way[0] * step, way[1] * step);
    }
    if (!action) return;
    event.preventDefault();
    action(event);
  };
  document.addEventListener("keydown", pressed, { signal });
  listenToClipboard(store, stage, signal);
}

const KIND = "application/x-mofa-controls";

/** Selected controls are copied and pasted, from one scene into another too. */
function listenToClipboard(store, stage, signal) {
  const elsewhere = ({ target }) => target.closest?.("input, textarea, dialog");
  const copy = (event) => {
    if (elsewhere(event) || !store.chosen.length) return;
    event.clipboardData?.setData(KIND, JSON.stringify(store.chosen));
    event.preventDefault();
    if (event.type === "cut") store.removeControls(store.chosen.map(({ id }) => id));
  };
  document.addEventListener("copy", copy, { signal });
  document.addEventListener("cut", copy, { signal });
  document.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData(KIND);
    if (text && !elsewhere(event) && store.document.picture) addCopies(stage, JSON.parse(text));
  }, { signal });
}

function stepPoint(store, step) {
  const control = store.selected;
  if (control?.kind !== "track") return;
  const count = control.points.length;
  const from = store.view.point ?? (step > 0 ? -1 : 0);
  store.look({ point: (from + step + count) % count });
}

function stepControl(store, step) {
  const { controls } = store.document;
  if (!controls.length) return;
  const from = controls.findIndex((control) => control.id === store.view.selected);
  store.look({ also: [], spared: null, selected: controls[(from + step + controls.length) % controls.length].id, point: null });
}
