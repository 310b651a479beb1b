// Loads that this page began: they go on whatever view is shown, and tell how far each machine is.

import { SvelteMap } from 'svelte/reactivity';
import type { LoadProgress, Placement } from '../api/answers';
import { message_of } from '../api/api_error';
import { post, post_lines } from '../api/client';
import type { LoadWishes } from '../api/plan_query';
import { fleet } from '../fleet/watch.svelte';

export interface Load {
  steps: LoadProgress[]; // the newest state of each thing that is done, in the order they began
  trouble: string | null;
  goes_on: boolean;
}

class Loads {
  readonly of = new SvelteMap<string, Load>(); // by model, or by the name that a hub knows
  readonly unloading = new SvelteMap<string, true>();

  async load(model: string, wishes: LoadWishes): Promise<void> {
    if (this.of.get(model)?.goes_on) return;
    this.of.set(model, { steps: [], trouble: null, goes_on: true });
    const watched = fleet.watch_closely();
    try {
      const on_progress = (progress: LoadProgress) => this.#progress(model, progress);
      await post_lines<LoadProgress, Placement>('load', { model, ...wishes }, 'placement', { on_progress });
      this.of.delete(model);
    } catch (error) {
      this.of.set(model, { steps: this.of.get(model)?.steps ?? [], trouble: message_of(error), goes_on: false });
    }
    watched();
    await fleet.look();
  }

  async unload(model: string): Promise<void> {
    this.unloading.set(model, true);
    try {
      await post('unload', { model });
      this.of.delete(model);
    } catch (error) {
      this.of.set(model, { steps: [], trouble: message_of(error), goes_on: false });
    }
    this.unloading.delete(model);
    await fleet.look();
  }

  forget(model: string): void {
    if (!this.of.get(model)?.goes_on) this.of.delete(model);
  }

  #progress(model: string, progress: LoadProgress): void {
    const steps = this.of.get(model)?.steps ?? [];
    const at = steps.findIndex((step) => step.text === progress.text);
    const next = at < 0 ? [...steps, progress] : steps.with(at, progress);
    this.of.set(model, { steps: next, trouble: null, goes_on: true });
  }
}

export const loads = new Loads();
