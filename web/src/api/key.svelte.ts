// The key to the API where one is needed: asked for once, kept for this tab only.

const place = 'flotilla.key';

export type AskedBecause = 'missing' | 'wrong';

class ApiKey {
  value = $state(sessionStorage.getItem(place) ?? '');
  asked = $state<AskedBecause | null>(null);
  #waiting: ((given: boolean) => void)[] = [];

  // Resolves once a person has given a key, or has declined to. However many requests ask, one question is shown.
  // `used` is what the refused request was sent with: another may have been given meanwhile.
  ask(used: string): Promise<boolean> {
    if (used !== this.value) return Promise.resolve(true);
    this.asked = used ? 'wrong' : 'missing';
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(key: string): void {
    this.value = key.trim();
    sessionStorage.setItem(place, this.value);
    this.#end(true);
  }

  decline(): void {
    this.#end(false);
  }

  forget(): void {
    this.value = '';
    sessionStorage.removeItem(place);
  }

  #end(given: boolean): void {
    this.asked = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell(given);
  }
}

export const api_key = new ApiKey();
