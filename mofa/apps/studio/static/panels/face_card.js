/** What can drive a face: speech, a recording, a video, or landmarks; and how much of it is taken over. */

import { h, show } from "../elements/dom.js";
import { choice, slider, toggle, words } from "../elements/fields.js";
import { noticeFor } from "../elements/notices.js";
import { icon } from "../elements/icons.js";
import { sentenceOf } from "../state/problems.js";
import { t } from "../state/texts.js";

const STRENGTHS = ["mouth", "eyes", "brows", "pose"];
const DRIVERS = ["signal", "aniportrait", "sadtalker"];

/**
 * The card of the face tool, as long as no driven face is selected.
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/faces.js").Faces} faces
 * @param {import("../state/problems.js").Notices} notices
 * @param {{drive: (source: string, file: Blob, name: string) => void, choose: (source: string) => void}} actions
 * @param {AbortSignal} signal ends it
 */
export function makeFaceCard(store, faces, notices, { drive, choose }, signal) {
  const told = h("p.note");
  const button = (source, picture) => h(
    "button.secondary", { type: "button", "data-drive": source, onclick: () => choose(source) }, icon(picture), t(`face.${source}`));
  const record = makeRecorder((blob) => drive("speech", blob, "recording.weba"));
  const wrong = noticeFor(notices, "face");
  const sources = h("div.sources", {}, button("speech", "sound"), record, button("video", "film"), button("landmarks", "face"));
  const element = h("section.card.face", { "aria-label": t("kind.landmarks") }, h("h2", {}, t("face.title")), told, sources, wrong.element);
  const update = () => {
    const open = store.view.tool === "face" && Boolean(store.document.picture) && store.selected?.kind !== "landmarks";
    show(element, open);
    if (!open) return;
    const { detected } = faces;
    told.textContent = faces.problem ? sentenceOf(faces.problem) : detected === null ? t("face.looking")
      : detected.length > 1 ? t("face.several", { count: detected.length })
        : t(detected.length ? "face.one" : "face.none");
    show(sources, Boolean(detected?.length));
    wrong.update();
  };
  store.subscribe(update);
  for (const source of [faces, notices]) source.addEventListener("change", update, { signal });
  update();
  return element;
}

/** A button that records the microphone until it is pressed again. */
function makeRecorder(recorded) {
  const label = h("span", {}, t("face.record"));
  const button = h("button.secondary.record", { type: "button", onclick: press, hidden: !navigator.mediaDevices }, icon("microphone"), label);
  /** @type {MediaRecorder | null} */
  let recorder = null;

  async function press() {
    if (recorder) {
      recorder.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const pieces = [];
      const running = recorder = new MediaRecorder(stream);
      running.ondataavailable = ({ data }) => pieces.push(data);
      running.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        recorder = null;
        label.textContent = t("face.record");
        button.classList.remove("recording");
        recorded(new Blob(pieces));
      };
      running.start();
      label.textContent = t("face.stop");
      button.classList.add("recording");
    } catch {
      label.textContent = t("face.no_microphone");
    }
  }

  return button;
}

/** The fields of a driven face, for the inspector. */
export function faceFields(get, set) {
  const strengths = STRENGTHS.map((name) => slider({
    text: t(`face.${name}`), help: t(`face.${name}.help`), min: 0, max: 2, step: 0.05, get: () => get()[name],
    set: (value, gesture) => set({ [name]: value }, gesture), say: (value) => `${value.toFixed(2)} ×`,
  }));
  const driver = choice({
    text: t("face.driver"), help: t("face.driver.help"), choices: DRIVERS.map((name) => [name, t(`driver.${name}`)]),
    get: () => get().driver, set: (value) => set({ driver: value }),
  });
  const absolute = toggle({
    text: t("face.absolute"), help: t("face.absolute.help"), get: () => get().absolute, set: (value) => set({ absolute: value }),
  });
  const again = h("button.text", { type: "button", onclick: () => set({ points: null }) }, t("face.points.reset"));
  const note = h("p.note", {}, t("face.points"), " ", again);
  const points = { element: note, update: () => show(again, Boolean(get().points)) };
  const transcript = words({
    text: t("face.transcript"), help: t("face.transcript.help"), get: () => get().transcript, set: (value) => set({ transcript: value || undefined }),
  });
  return get().source === "speech" ? [...strengths, driver, transcript, points] : [...strengths, absolute, points];
}
