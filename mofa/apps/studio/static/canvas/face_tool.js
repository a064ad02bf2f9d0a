/** The tool for faces: a click chooses the face that is driven, its 68 points can be dragged. */

import { middle, nearest } from "../state/faces.js";

const GRIP = 9;

const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);

/** The control that drives the face at a place, if there is one. */
function driverOf(stage, face) {
  const size = distance(face[0], face[16]);
  return stage.store.document.controls.find((control) => {
    const rest = control.kind === "landmarks" ? stage.faces.rest(control) : null;
    return rest && distance(middle(rest), middle(face)) < size / 4;
  });
}

export const faceTool = {
  cursor: "pointer",
  down(stage, point) {
    const { store, faces, viewport } = stage;
    const control = store.selected?.kind === "landmarks" ? store.selected : null;
    const rest = control && faces.rest(control);
    const index = rest?.findIndex((place) => distance(place, point) * viewport.scale <= GRIP) ?? -1;
    if (index >= 0) return dragging(stage, control, rest, index, point);
    if (faces.detected?.length) choose(stage, nearest(faces.detected, point));
    return null;
  },
};

function choose(stage, face) {
  const control = driverOf(stage, face);
  stage.store.look({ face: middle(face), selected: control?.id ?? null, point: null });
}

function dragging(stage, control, rest, index, start) {
  const gesture = {};
  stage.store.look({ point: index });
  return {
    move([x, y]) {
      const moved = [rest[index][0] + x - start[0], rest[index][1] + y - start[1]];
      const points = rest.map((place, k) => (k === index ? stage.viewport.inside(moved) : place));
      stage.store.editControl(control.id, { points }, gesture);
    },
  };
}
