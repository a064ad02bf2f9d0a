/**
 * The one state of the page. The document is never changed, only replaced, so that undo is a list of documents.
 * @typedef {import("./scene.js").Document} Document
 * @typedef {{tool: string, selected: number | null, point: number | null, brush: number, also: number[],
 *   spared: number | null, flow?: boolean, drafting: [number, number][] | null, drawing: boolean, face: [number, number] | null,
 *   painting?: HTMLCanvasElement | null}} View
 */

const MOST_STEPS = 200;

export class Store {
  /** @param {Document} document */
  constructor(document) {
    this.document = document;
    /** @type {View} */
    this.view = { tool: "draw", selected: null, also: [], point: null, spared: null, brush: 40, drafting: null, drawing: false, face: null };
    /** @type {Document[]} */
    this.past = [];
    /** @type {Document[]} */
    this.future = [];
    /** @type {unknown} */
    this.gesture = null;
    /** @type {Set<(what: "document" | "view") => void>} */
    this.listeners = new Set();
    /** Those who show what is under the hand. @type {Set<() => void>} */
    this.followers = new Set();
    /** Those who stay when the page is drawn anew in another language. @type {((what: "document" | "view") => void)[]} */
    this.lasting = [];
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

  /**
   * Begins with another document: what was before cannot be reached by undo.
   * @param {Document} document
   */
  load(document) {
    [this.past, this.future, this.gesture] = [[], [], null];
    this.document = document;
    this.view = { ...this.view, selected: null, also: [], point: null, drafting: null };
    this.tell("document");
  }

  /**
   * The steps before and after the document of now, as an earlier page knew them.
   * @param {Document[]} past
   * @param {Document[]} future
   */
  recall(past, future) {
    [this.past, this.future] = [past, future];
    this.tell("document");
  }

  /**
   * Replaces one control, or removes it when `change` is null.
   * @param {number | null} id
   * @param {any} change
   * @param {unknown} [gesture]
   */
  editControl(id, change, gesture = null) {
    const controls = this.document.controls.flatMap((control) => {
      if (control.id !== id) return [control];
      return change === null ? [] : [{ ...control, ...change }];
    });
    this.edit({ controls }, gesture);
  }

  /**
   * Changes several controls at once.
   * @param {number[]} ids
   * @param {(control: any) => Partial<any>} change
   * @param {unknown} [gesture]
   */
  editControls(ids, change, gesture = null) {
    if (!ids.length) return;
    this.edit({ controls: this.document.controls.map((control) => (ids.includes(control.id) ? { ...control, ...change(control) } : control)) }, gesture);
  }

  /**
   * Says something about a control that was true from its beginning and is known only now: no step of its own.
   * @param {number} id
   * @param {Partial<any>} change
   */
  amend(id, change) {
    const amended = (document) => ({ ...document, controls: document.controls.map((one) => (one.id === id ? { ...one, ...change } : one)) });
    const knows = (document) => document.controls.some((one) => one.id === id);
    const all = (documents) => documents.map((document) => (knows(document) ? amended(document) : document));
    [this.past, this.future] = [all(this.past), all(this.future)];
    if (!knows(this.document)) return;
    this.document = amended(this.document);
    this.tell("document");
  }

  /** @param {number[]} ids */
  removeControls(ids) {
    this.edit({ controls: this.document.controls.filter(({ id }) => !ids.includes(id)) });
    this.look({ selected: null, also: [], point: null });
  }

  /** Moves a control to another place in the order. */
  moveControl(from, to) {
    const controls = [...this.document.controls];
    if (from < 0 || to < 0 || to >= controls.length || from === to) return;
    controls.splice(to, 0, ...controls.splice(from, 1));
    this.edit({ controls });
  }

  /**
   * Ends a gesture as if it had never begun.
   * @param {Document} before what was there then
   * @param {unknown} gesture
   */
  takeBack(before, gesture) {
    if (this.gesture !== gesture) return;
    this.past.pop();
    [this.document, this.gesture] = [before, null];
    this.tell("document");
  }

  /** Adds a control and selects it. */
  add(control) {
    this.edit({ controls: [...this.document.controls, control] });
    this.look({ selected: control.id, also: [], point: null, spared: null });
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
    this.document = /** @type {Document} */ (from.pop());
    this.gesture = null;
    if (!this.selected) this.view = { ...this.view, selected: null, also: [], point: null };
    this.tell("document");
  }

  /** Changes what is looked at, which undo does not know. */
  look(change) {
    this.view = { ...this.view, ...change };
    this.tell("view");
  }

  /**
   * What is under a hand that draws or paints: the canvas alone is told, for a page that is drawn anew with every
   * move of the hand is no longer at its side.
   * @param {Partial<View>} change
   */
  follow(change) {
    this.view = { ...this.view, ...change };
    for (const follower of this.followers) follower();
  }

  /** The selected control, if there is one. */
  get selected() {
    return this.document.controls.find((control) => control.id === this.view.selected) ?? null;
  }

  /** All selected controls. */
  get chosen() {
    const { selected, also } = this.view;
    return this.document.controls.filter(({ id }) => id === selected || also.includes(id));
  }

  /** Selects one more, or one less. */
  chooseAlso(id) {
    const { selected, also } = this.view;
    if (selected === null) this.look({ selected: id, point: null });
    else if (id === selected) this.look({ selected: also[0] ?? null, also: also.slice(1), point: null });
    else this.look({ also: also.includes(id) ? also.filter((other) => other !== id) : [...also, id], point: null });
  }

  tell(what) {
    for (const listener of [...this.lasting, ...this.listeners]) listener(what);
  }
}
