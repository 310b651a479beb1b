// Deleting the file of a model, and what that freed.

import { SvelteMap } from 'svelte/reactivity';
import { message_of } from '../api/api_error';
import { post } from '../api/client';
import { fleet } from '../fleet/watch.svelte';

export interface Freed {
  model: string;
  freed_bytes: number;
}

class Deletions {
  readonly under_way = new SvelteMap<string, true>();
  readonly troubles = new SvelteMap<string, string>();
  last = $state.raw<Freed | null>(null);

  async delete(model: string): Promise<void> {
    this.under_way.set(model, true);
    this.troubles.delete(model);
    try {
      this.last = await post<Freed>('delete', { model });
    } catch (error) {
      this.troubles.set(model, message_of(error));
    }
    this.under_way.delete(model);
    await fleet.look();
  }

  forget(): void {
    this.last = null;
  }
}

export const deletions = new Deletions();
