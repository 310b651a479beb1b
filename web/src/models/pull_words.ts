// What is said of a pull, and by which name one is asked for.

import type { HubModel, PullProgress, PullUnderWay } from '../api/answers';
import { byte_rate, bytes, seconds } from '../text/format';

export const main_revision = 'main'; // what this page pulls

// A short name stands for a quantization as well; another one is asked for by the repository.
export function reference_of(model: HubModel, quant: string): string {
  return quant ? `${model.repository}:${quant}` : model.name;
}

// One model may come at two revisions at once.
export function pull_name({ model, revision }: PullUnderWay): string {
  return revision === main_revision ? model : `${model} at ${revision}`;
}

export function progress_words({ done_bytes, total_bytes, bytes_per_second }: PullProgress): string {
  if (total_bytes === 0) return 'asking the hub…';
  const amount = `${bytes(done_bytes)} of ${bytes(total_bytes)}`;
  if (bytes_per_second <= 0) return amount;
  const left = Math.max(0, total_bytes - done_bytes) / bytes_per_second;
  const words = left < 99.5 ? `${Math.round(left)} s` : seconds(left); // half a second more or less is no news
  return [amount, byte_rate(bytes_per_second), ...(left >= 1 ? [`${words} left`] : [])].join(' · ');
}
