// What the file of a model says about it.

import type { ModelFacts } from './answers';
import { get } from './client';

// A name may hold what an address reads otherwise: "?", "#", "%".
export function facts_of(model: string, wish: { quietly?: boolean } = {}): Promise<ModelFacts> {
  return get<ModelFacts>(`models/${encodeURIComponent(model)}`, wish);
}

// Not one that only makes vectors. What cannot be asked now counts as one: the question itself will say more.
export async function can_answer(model: string): Promise<boolean> {
  try {
    return !(await facts_of(model, { quietly: true })).capabilities?.includes('embedding');
  } catch {
    return true;
  }
}
