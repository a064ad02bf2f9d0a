/** What controls and clips are called. */

import { isBorder, kindOf } from "./scene.js";
import { t } from "./texts.js";

/** As somebody named it, else "Track 2", "Anchor 1", "Camera": a number stays with its control. */
export function nameOf(control, document) {
  if (control.name) return control.name;
  if (isBorder(control)) return t("kind.border");
  const kind = kindOf(control);
  const alone = !["track", "anchor"].includes(kind) && document.controls.filter((other) => kindOf(other) === kind).length === 1;
  return alone ? t(`kind.${kind}`) : `${t(`kind.${kind}`)} ${control.number ?? 1}`;
}

/** What a clip is called: as somebody named it, else by its turn in the visit. */
export const clipTitle = (clip, clips) => clip.title || t("clip.number", { count: clips.length - clips.indexOf(clip) });
