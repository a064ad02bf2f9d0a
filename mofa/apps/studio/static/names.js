/** What controls are called. */

import { isAnchor } from "./scene.js";
import { t } from "./texts.js";

/** "Track 2", "Anchor 1", "Camera": counted per kind, in the order of the document. */
export function nameOf(control, document) {
  const kind = kindOf(control);
  const alike = document.controls.filter((other) => kindOf(other) === kind);
  const number = alike.length > 1 || kind === "track" || kind === "anchor" ? ` ${alike.indexOf(control) + 1}` : "";
  return `${t(`kind.${kind}`)}${number}`;
}

/** "track", "anchor", "tracks", "camera", "reference", "landmarks". */
export const kindOf = (control) => (isAnchor(control) ? "anchor" : control.kind);
