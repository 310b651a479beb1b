import { describe, expect, test } from 'vitest';
import { figures_of } from './metrics';

const histogram = (model: string, counts: [bound: string, count: number][]) =>
  counts
    .map(([bound, n]) => `flotilla_time_to_first_token_seconds_bucket{model_name="${model}",le="${bound}"} ${n}`)
    .join('\n') + `\nflotilla_time_to_first_token_seconds_count{model_name="${model}"} ${counts.at(-1)?.[1]}\n`;

describe('figures of /metrics', () => {
  test('are none before the first answer', () => {
    expect(figures_of('# HELP flotilla_build_info x\nflotilla_build_info{version="1"} 1\n')).toEqual({
      first_token_seconds: null,
      answers: 0,
      read_before: null,
    });
    const empty = histogram('a', [
      ['0.1', 0],
      ['+Inf', 0],
    ]);
    expect(figures_of(empty).first_token_seconds).toBeNull();
  });

  test('have the median within its bucket, of all models together', () => {
    const text =
      histogram('a', [
        ['0.1', 0],
        ['0.2', 4],
        ['+Inf', 4],
      ]) +
      histogram('b', [
        ['0.1', 2],
        ['0.2', 2],
        ['+Inf', 2],
      ]);
    // Of six answers two took up to 0.1 s and four up to 0.2 s: the third lies a quarter into the second bucket.
    expect(figures_of(text).first_token_seconds).toBeCloseTo(0.125);
    expect(figures_of(text).answers).toBe(6);
  });

  test('do not guess beyond the last bound', () => {
    const text = histogram('a', [
      ['10', 1],
      ['+Inf', 5],
    ]);
    expect(figures_of(text).first_token_seconds).toBe(10);
  });

  test('say which share of all prompts had been read before', () => {
    const text =
      'flotilla_prompt_tokens_total{model_name="a"} 300\nflotilla_prompt_tokens_total{model_name="b,le=\\"1\\""} 100\n' +
      'flotilla_prefix_cache_hits_total{model_name="a"} 100\n';
    expect(figures_of(text).read_before).toBe(0.25);
  });
});
