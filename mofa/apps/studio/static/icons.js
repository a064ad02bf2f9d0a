/** Line icons on a 24 x 24 grid. */

import { svg } from "./dom.js";

const PATHS = {
  select: "M5 3l14 8-6.5 1.5L9 19z",
  draw: "M3 17c4-9 7 4 11-4 2-4 3-6 7-6M18 4l3 3-3 3",
  anchor: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 2v6M12 16v6M2 12h6M16 12h6",
  brush: "M14 6l4 4M20 4c1 1 0 3-2 5l-6 6-3-3 6-6c2-2 4-3 5-2zM8 13c-3 0-3 3-3 4 0 2-2 2-2 2 4 2 8 0 8-3",
  erase: "M8 20h12M5 15l9-9 5 5-8 8H8l-3-3zM9.5 10.5l5 5",
  pick: "M5 19L15 9M13 7l4 4M18 3v3M16.5 4.5h3M20 9v2M19 10h2M10 3v2M9 4h2",
  camera: "M3 7V4h4M17 4h4v3M21 17v3h-4M7 20H3v-3M12 8v8M8 12h8",
  hand: "M8 12V6a1.5 1.5 0 0 1 3 0v5V4.5a1.5 1.5 0 0 1 3 0V11V6a1.5 1.5 0 0 1 3 0v8c0 4-2 7-6 7-3 0-4-2-6-5l-2-3c-1-2 1-3 2-2l1 1",
  undo: "M8 5L4 9l4 4M4 9h9a6 6 0 0 1 0 12h-3",
  redo: "M16 5l4 4-4 4M20 9h-9a6 6 0 0 0 0 12h3",
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  photo: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M15.5 9.5h.01",
  film: "M3 5h18v14H3zM8 5v14M16 5v14M3 12h18",
  save: "M12 4v11M7 10l5 5 5-5M4 20h16",
  open: "M3 19V5h6l2 3h10v11z",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17.5v.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
  close: "M6 6l12 12M18 6L6 18",
  back: "M4 12h15M4 12l5-5M4 12l5 5",
  loop: "M4 12a7 7 0 0 1 12-5l3 3M20 12a7 7 0 0 1-12 5l-3-3M19 5v5h-5M5 19v-5h5",
  more: "M6 9l6 6 6-6",
  face: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M9 10v.5M15 10v.5M8 14.5c2 2.5 6 2.5 8 0",
  sound: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  microphone: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M5 11a7 7 0 0 0 14 0M12 18v3",
  spark: "M12 3l2 6.5 6.5 2.5-6.5 2.5L12 21l-2-6.5L3.5 12 10 9.5z",
  compare: "M12 3v18M4 6h5v12H4zM15 6h5v12h-5z",
  waves: "M3 9c3-4 6 4 9 0s6 4 9 0M3 15c3-4 6 4 9 0s6 4 9 0",
};

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}
