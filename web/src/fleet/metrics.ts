// The few figures of /metrics that are shown, out of Prometheus' text. A node counts what was asked of it.

export interface Figures {
  first_token_seconds: number | null; // the median; null before the first answer
  answers: number; // that it is the median of
  read_before: number | null; // the share of prompt tokens that had been computed before; null before the first
}

interface Sample {
  name: string;
  labels: string;
  value: number;
}

const line_form = /^flotilla_(\w+)(?:\{(.*)\})?\s+(\S+)/;

function samples(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels, value] = line_form.exec(line) ?? [];
    return name && value ? [{ name, labels: labels ?? '', value: Number(value) }] : [];
  });
}

export function figures_of(text: string): Figures {
  const all = samples(text);
  const sum = (name: string) => all.filter((each) => each.name === name).reduce((sum, { value }) => sum + value, 0);
  const read = sum('prompt_tokens_total');
  return {
    first_token_seconds: median(all.filter(({ name }) => name === 'time_to_first_token_seconds_bucket')),
    answers: sum('time_to_first_token_seconds_count'),
    read_before: read > 0 ? sum('prefix_cache_hits_total') / read : null,
  };
}

// Buckets count all up to their bound; within one, answers are taken to lie evenly. Models are taken together.
function median(buckets: Sample[]): number | null {
  const up_to = new Map<number, number>();
  for (const { labels, value } of buckets) {
    const bound = /(?:^|,)le="([^"]+)"/.exec(labels)?.[1];
    if (!bound) continue;
    const at = bound === '+Inf' ? Infinity : Number(bound);
    up_to.set(at, (up_to.get(at) ?? 0) + value);
  }
  const sorted = [...up_to].toSorted(([a], [b]) => a - b);
  const half = (sorted.at(-1)?.[1] ?? 0) / 2;
  if (half === 0) return null;
  let below = { bound: 0, count: 0 };
  for (const [bound, count] of sorted) {
    if (count < half) {
      below = { bound, count };
      continue;
    }
    if (bound === Infinity) return below.bound; // beyond the last bound nothing more is known
    return below.bound + ((bound - below.bound) * (half - below.count)) / (count - below.count);
  }
  return null;
}
