/** Keyboard shortcuts of the whole page. */

import { deleteSelected, duplicateSelected, finishDraft, nudgeSelected, reorderSelected } from "./shape_tools.js";

/** Tool -> its key. */
export const TOOL_KEYS = { select: "V", draw: "D", anchor: "A", camera: "C", brush: "B", erase: "E", pick: "R", face: "F", hand: "H" };

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Whether keys belong to what has the focus: fields take them all, buttons take Enter and the space bar. */
function isTaken(event) {
  const { target } = event;
  if (target.closest("input, select, textarea, [role=slider], dialog")) return true;
  return ["Enter", " "].includes(event.key) && target.closest("button, a, summary, [role=tab]");
}

/**
 * @param {import("./store.js").Store} store
 * @param {import("./stage.js").Stage} stage
 * @param {AbortSignal} signal ends it
 */
export function listenToKeys(store, stage, signal) {
  const withControl = {
    z: (event) => (event.shiftKey ? store.redo() : store.undo()),
    y: () => store.redo(),
    d: () => duplicateSelected(stage),
  };
  const plain = {
    Delete: () => deleteSelected(store),
    Backspace: () => deleteSelected(store),
    Escape: () => store.look(store.view.drafting ? { drafting: null } : { selected: null, point: null }),
    Enter: () => finishDraft(store),
    " ": () => store.look({ playing: !store.view.playing }),
    "[": () => store.look({ brush: Math.max(4, store.view.brush - 6) }),
    "]": () => store.look({ brush: Math.min(200, store.view.brush + 6) }),
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
  store.look({ selected: controls[(from + step + controls.length) % controls.length].id, point: null });
}
