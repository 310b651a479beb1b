// What the file of a model says about it.

import type { ModelFacts } from './answers';
import { get } from './client';

// A name may hold what an address reads otherwise: "?", "#", "%".
export function facts_of(model: string, wish: { quietly?: boolean } = {}): Promise<ModelFacts> {
  return get<ModelFacts>(`models/${encodeURIComponent(model)}`, wish);
}
