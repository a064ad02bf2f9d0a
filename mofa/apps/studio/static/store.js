/**
 * The one state of the page. The document is never changed, only replaced, so that undo is a list of documents.
 * @typedef {import("./scene.js").Document} Document
 */

const MOST_STEPS = 200;

export class Store {
  /** @param {Document} document */
  constructor(document) {
    this.document = document;
    this.view = { tool: "draw", selected: null, point: null, brush: 40, playing: true, frame: 0, drafting: null, drawing: false, face: null };
    this.past = [];
    this.future = [];
    this.gesture = null;
    this.listeners = new Set();
  }

  /** @param {(what: "document" | "view") => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Replaces the document. Edits of one gesture (a drag, say) are one step of undo.
   * @param {Partial<Document>} change
   * @param {unknown} [gesture]
   */
  edit(change, gesture = null) {
    if (gesture === null || gesture !== this.gesture) {
      this.past = [...this.past.slice(1 - MOST_STEPS), this.document];
      this.future = [];
    }
    this.gesture = gesture;
    this.document = { ...this.document, ...change };
    this.tell("document");
  }

  /** Replaces one control, or removes it when `change` is null. */
  editControl(id, change, gesture = null) {
    const controls = this.document.controls.flatMap((control) => {
      if (control.id !== id) return [control];
      return change === null ? [] : [{ ...control, ...change }];
    });
    this.edit({ controls }, gesture);
  }

  /** Adds a control and selects it. */
  add(control) {
    this.edit({ controls: [...this.document.controls, control] });
    this.look({ selected: control.id, point: null });
  }

  undo() {
    this.travel(this.past, this.future);
  }

  redo() {
    this.travel(this.future, this.past);
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.document);
    this.document = from.pop();
    this.gesture = null;
    if (!this.selected) this.view = { ...this.view, selected: null, point: null };
    this.tell("document");
  }

  /** Changes what is looked at, which undo does not know. */
  look(change) {
    this.view = { ...this.view, ...change };
    this.tell("view");
  }

  /** The selected control, if there is one. */
  get selected() {
    return this.document.controls.find((control) => control.id === this.view.selected) ?? null;
  }

  tell(what) {
    for (const listener of this.listeners) listener(what);
  }
}
