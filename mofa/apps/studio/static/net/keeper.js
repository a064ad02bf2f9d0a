/**
 * Keeps the document on the server under a name in the page's address: with every change, and when the page is left.
 * A reload, or the link on the same browser, brings everything back, and a reload what undo knows, too.
 */

import { debounced } from "../elements/dom.js";
import { serverName } from "../canvas/masks.js";
import { keepDocument } from "./server.js";
import { keepSteps, MOST_KEPT } from "./steps.js";

/** Long enough for one drag to be one save. */
const PAUSE = 120;

/**
 * @param {import("../state/store.js").Store} store
 * @param {import("../state/problems.js").Notices} notices
 * @param {string | null} name of the scene that is in the address already
 */
export function keepInAddress(store, notices, name) {
  const kept = name ?? `scene-${Math.random().toString(36).slice(2, 12)}`;
  /** @type {import("../state/scene.js").Document | null} */
  let saved = store.document;
  let saving = new AbortController();

  const save = async () => {
    const { document } = store;
    if (!document.picture || document === saved) return;
    saved = document;
    saving.abort();
    saving = new AbortController();
    const { signal } = saving;
    history.replaceState(history.state, "", `?scene=${kept}`);
    const { past, future } = store;
    const named = (documents) => Promise.all(documents.map(withServerNames));
    try {
      const [now] = await named([document]);
      keepSteps(kept, { past: await named(past.slice(-MOST_KEPT)), document: now, future: await named(future.slice(-MOST_KEPT)) });
      await keepDocument(kept, now, signal);
      notices.clear("keep");
    } catch (problem) {
      // A newer one is on its way, or the next change is tried again.
      if (signal.aborted) return;
      saved = null;
      notices.tell("keep", problem, { part: "photo", control: null });
    }
  };
  const soon = debounced(save, PAUSE);
  store.lasting.push((what) => what === "document" && soon());
  addEventListener("pagehide", save);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
}

/**
 * The document with its masks by the names that the server knows.
 * @param {import("../state/scene.js").Document} document
 */
async function withServerNames(document) {
  const named = async (region) => (region?.mask ? { ...region, mask: await serverName(region.mask) } : region);
  const controls = await Promise.all(document.controls.map(async (control) => ({ ...control, region: await named(control.region) })));
  return { ...document, region: await named(document.region), controls };
}
