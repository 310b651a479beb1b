// Which model a conversation begins with where nobody chose one.

import type { ModelEntry } from '../api/answers';

// One that is loaded answers at once, so those are looked at first; one that only makes vectors never answers.
export async function first_model(
  models: ModelEntry[],
  can_answer: (model: string) => Promise<boolean>,
): Promise<string | undefined> {
  const is_loaded = ({ state }: ModelEntry) => state === 'ready';
  const in_order = [...models.filter(is_loaded), ...models.filter((model) => !is_loaded(model))];
  for (const { id } of in_order) if (await can_answer(id)) return id;
  return in_order[0]?.id;
}
