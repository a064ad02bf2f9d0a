/** Tools that move frames: the camera's, and the view on the photo. */

import { panTo, viewAt, withZoomAndTurn } from "./camera.js";
import { turnHandle } from "./painter.js";
import { newControl } from "../state/scene.js";

const GRIP = 18;
const STILL = { panX: 0, panY: 0, zoom: 1, rotate: 0 };
/** @param {number[]} a @param {number[]} b */
const near = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by) <= GRIP;

/** The camera that the tool moves: the selected one, else the first, else a new one that stands still. */
function cameraOf(store) {
  const { controls } = store.document;
  const camera = store.selected?.kind === "camera" ? store.selected : controls.find((one) => one.kind === "camera");
  if (camera) {
    if (store.view.selected !== camera.id) store.look({ selected: camera.id, point: null });
    return camera;
  }
  store.add(newControl(store.document, { kind: "camera", move: STILL, ease: "in-out" }));
  return store.selected;
}

export const cameraTool = {
  cursor: "move",
  down(stage, point) {
    const { store, viewport } = stage;
    const { picture } = store.document;
    const camera = cameraOf(store);
    const { corners, centre, top } = viewAt(camera.move, 1, picture);
    const place = viewport.toScreen(point);
    const gesture = {};
    const change = (move) => store.editControl(camera.id, { move }, gesture);
    const angleAt = ([x, y]) => (Math.atan2(y - centre[1], x - centre[0]) * 180) / Math.PI;
    if (near(turnHandle(viewport, top, centre), place)) {
      const from = angleAt(point);
      return {
        move: (to) => change(withZoomAndTurn(
          camera.move, { rotate: snapped(camera.move.rotate + halfTurn(angleAt(to) - from)) }, picture)),
      };
    }
    if (corners.some((corner) => near(viewport.toScreen(corner), place))) {
      const distance = (to) => Math.hypot(to[0] - centre[0], to[1] - centre[1]);
      const from = distance(point);
      return {
        move: (to) => {
          const zoom = Math.min(8, Math.max(0.3, (camera.move.zoom * from) / Math.max(1, distance(to))));
          change(withZoomAndTurn(camera.move, { zoom: Math.round(zoom * 100) / 100 }, picture));
        },
      };
    }
    return {
      move: (to) => change(panTo(camera.move, [centre[0] + to[0] - point[0], centre[1] + to[1] - point[1]], picture)),
    };
  },
};

const halfTurn = (angle) => ((angle + 540) % 360) - 180;
const snapped = (angle) => (Math.abs(angle) < 1.5 ? 0 : Math.round(angle * 2) / 2);

export const handTool = {
  cursor: "grab",
  down(stage, _, event) {
    let last = [event.clientX, event.clientY];
    return {
      move(_point, { clientX, clientY }) {
        stage.viewport.pan(clientX - last[0], clientY - last[1]);
        last = [clientX, clientY];
        stage.redraw();
      },
    };
  },
};
