// For what cannot be undone: the first press asks, the second within a few seconds does it.

const patience_ms = 4_000;

export class AskTwice {
  asked = $state<string | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;

  // True where this was the second press for `what`.
  press(what: string): boolean {
    clearTimeout(this.#timer);
    if (this.asked === what) {
      this.asked = null;
      return true;
    }
    this.asked = what;
    this.#timer = setTimeout(() => (this.asked = null), patience_ms);
    return false;
  }
}
