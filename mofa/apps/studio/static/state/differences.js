/** What differs between two clips, in words: their scenes are laid beside each other. */

import { namedScene } from "../net/server.js";
import { inLanguage, t } from "./texts.js";

/** Key in a scene -> the text that names it. */
const CLIP_KEYS = { frames: "length", fps: "fps", size: "size", loop: "loop", seed: "seed", renderer: "renderer" };
const CONTROL_KEYS = {
  points: "difference.points", strength: "strength", start: "timeline.start", end: "timeline.end", ease: "difference.ease",
  there_and_back: "there_and_back", region: "region", move: "kind.camera", driver: "face.driver", mouth: "face.mouth", eyes: "face.eyes",
  brows: "face.brows", pose: "face.pose",
};

/**
 * @param {any} one a clip
 * @param {any} other
 * @returns {Promise<string>}
 */
export async function differences(one, other) {
  const [a, b] = await Promise.all([one, other].map(({ name }) => namedScene(name)));
  const found = [];
  for (const [key, text] of Object.entries(CLIP_KEYS)) {
    const [left, right] = [a.scene[key], b.scene[key]];
    if (JSON.stringify(left) !== JSON.stringify(right)) found.push(`${t(text)}: ${said(key, left)} → ${said(key, right)}`);
  }
  if (JSON.stringify(a.scene.diffusion) !== JSON.stringify(b.scene.diffusion)) found.push(t("difference.settings"));
  const [left, right] = [a.scene.controls, b.scene.controls];
  if (left.length !== right.length) found.push(t("difference.controls", { one: left.length, other: right.length }));
  else left.forEach((control, k) => found.push(...betweenControls(control, right[k], k)));
  return found.join(" · ") || t("difference.none");
}

function betweenControls(one, other, index) {
  const keys = Object.keys(CONTROL_KEYS).filter((key) => JSON.stringify(one[key]) !== JSON.stringify(other[key]));
  return keys.length ? [`${t(`kind.${one.kind === "track" && one.points?.length === 1 ? "anchor" : one.kind}`)} ${index + 1}: ${keys.map((key) => t(CONTROL_KEYS[key])).join(", ")}`] : [];
}

function said(key, value) {
  if (value === null || value === undefined) return "–";
  if (key === "size") return String(value).replace("x", " × ");
  if (key === "renderer") return t(`renderer.${value}`);
  return typeof value === "boolean" ? inLanguage(value ? { en: "yes", zh: "是" } : { en: "no", zh: "否" }) : String(value);
}
