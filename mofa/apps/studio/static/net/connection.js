/** Whether the server answers, for whoever shows it. */

class Connection extends EventTarget {
  lost = false;
  /** @type {(() => void)[]} */
  #waiting = [];

  constructor() {
    super();
    addEventListener("online", () => this.#retry());
    document.addEventListener("visibilitychange", () => this.#retry());
  }

  /** @param {boolean} answers what the last question has shown */
  tell(answers) {
    if (answers) this.#retry();
    if (this.lost === !answers) return;
    this.lost = !answers;
    this.dispatchEvent(new Event("change"));
  }

  /** Waits so long, or until there is reason to try at once. */
  pause(milliseconds) {
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(undefined));
      setTimeout(resolve, milliseconds);
    });
  }

  #retry() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export const connection = new Connection();
