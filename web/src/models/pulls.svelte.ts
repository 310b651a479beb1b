// Models that come from a hub to this node. A pull goes on whatever view is shown, and also after a reload; it ends
// where the last one who watches it goes away, and then what came is kept.

import { SvelteMap } from 'svelte/reactivity';
import type { Pulled, PullProgress, PullUnderWay } from '../api/answers';
import { is_refusal, message_of } from '../api/api_error';
import { get, post_lines } from '../api/client';
import { fleet } from '../fleet/watch.svelte';
import { main_revision } from './pull_words';

export type PullState = 'under way' | 'stopped' | 'failed' | 'here';

export interface Pull {
  state: PullState;
  progress: PullProgress | null;
  note: string | null;
  trouble: string | null;
  pulled: Pulled | null;
}

const look_pause_ms = 2_000;
const leaving_ms = 5_000;
const place = 'flotilla.pulls';
const begun: Pull = { state: 'under way', progress: null, note: null, trouble: null, pulled: null };

class Pulls {
  readonly of = new SvelteMap<string, Pull>(); // by the name that was asked for, those of this page
  all = $state.raw<PullUnderWay[]>([]);
  is_possible = $state<boolean | null>(null); // null: not asked yet; a node without a way to a hub says so
  readonly others = $derived(
    this.all.filter(({ model, revision }) => revision !== main_revision || this.of.get(model)?.state !== 'under way'),
  );
  readonly #stops = new Map<string, AbortController>();
  #is_leaving = false; // a reload breaks pulls off while this still runs, and they must not be taken for failed

  constructor() {
    addEventListener('beforeunload', () => {
      this.#is_leaving = true;
      setTimeout(() => (this.#is_leaving = false), leaving_ms); // where the page stays after all
    });
  }

  // Those that a reload broke off.
  resume(): void {
    for (const reference of this.#kept()) void this.pull(reference);
  }

  async pull(reference: string): Promise<void> {
    if (this.of.get(reference)?.state === 'under way') return;
    const controller = new AbortController();
    this.#stops.set(reference, controller);
    this.of.set(reference, begun);
    this.#keep();
    try {
      const pulled = await post_lines<PullProgress, Pulled>('pull', { model: reference }, 'pulled', {
        on_progress: (progress) => this.#change(reference, { progress }),
        on_note: (note) => this.#change(reference, { note }),
        signal: controller.signal,
      });
      this.#change(reference, { state: 'here', pulled });
    } catch (error) {
      if (controller.signal.aborted) this.#change(reference, { state: 'stopped' });
      else this.#change(reference, { state: 'failed', trouble: message_of(error) });
    }
    this.#stops.delete(reference);
    if (this.#is_leaving) return;
    this.#keep();
    await fleet.look();
  }

  stop(reference: string): void {
    this.#stops.get(reference)?.abort();
  }

  forget(reference: string): void {
    if (this.of.get(reference)?.state !== 'under way') this.of.delete(reference);
  }

  // Looks at the pulls of others too while that is called for. Returns how to end it.
  watch(): () => void {
    let goes_on = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      await this.#look();
      if (goes_on && this.is_possible !== false) timer = setTimeout(() => void look(), look_pause_ms);
    };
    void look();
    return () => ((goes_on = false), clearTimeout(timer));
  }

  async #look(): Promise<void> {
    try {
      this.all = (await get<{ pulls: PullUnderWay[] }>('pulls', { quietly: true })).pulls;
      this.is_possible = true;
    } catch (error) {
      if (!is_refusal(error)) return; // a node that is busy, or away for a moment, is asked again
      this.all = [];
      this.is_possible = false;
    }
  }

  #change(reference: string, what: Partial<Pull>): void {
    this.of.set(reference, { ...(this.of.get(reference) ?? begun), ...what });
  }

  #keep(): void {
    const names = [...this.of].filter(([, { state }]) => state === 'under way').map(([name]) => name);
    sessionStorage.setItem(place, JSON.stringify(names));
  }

  #kept(): string[] {
    try {
      const names = JSON.parse(sessionStorage.getItem(place) ?? '[]') as unknown;
      return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
    } catch {
      return [];
    }
  }
}

export const pulls = new Pulls();
