/** What undo and redo know outlives a reload of the page: kept by the browser for as long as its tab is open. */

import { adopted } from "../state/scene.js";

const KEPT = "mofa-steps";
/** Steps back, and as many forth. */
export const MOST_KEPT = 50;

/**
 * @param {string} name of the scene
 * @param {{past: any[], document: any, future: any[]}} steps documents whose masks have the names that the server knows
 */
export function keepSteps(name, steps) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ name, ...steps }));
  } catch {
    // More than the browser keeps: then a reload begins anew.
    sessionStorage.removeItem(KEPT);
  }
}

/**
 * Gives a document that was just loaded the steps that led to it.
 * @param {import("../state/store.js").Store} store
 * @param {string} name of the scene
 */
export function recallSteps(store, name) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  const { picture } = store.document;
  if (kept?.name !== name || JSON.stringify(adopted(kept.document)) !== JSON.stringify(store.document)) return;
  // The photo stays the very same, so that a step does not load it again.
  const all = (documents) => documents.map((one) => ({ ...adopted(one), picture: one.picture?.name === picture?.name ? picture : one.picture }));
  store.recall(all(kept.past), all(kept.future));
}
