import { expect, test } from 'vitest';
import { Stopwatch } from './stopwatch';

test('nothing is said before the first token', () => {
  expect(new Stopwatch(0).figures(null)).toBeNull();
});

test('the wait for the first token is no part of the rate', () => {
  const watch = new Stopwatch(1000);
  for (const now of [3000, 3100, 3200, 3300]) watch.piece(now);
  expect(watch.figures(null)).toMatchObject({ tokens: 4, first_token_seconds: 2, tokens_per_second: 10 });
});

test('the count of the node is believed where it has come', () => {
  const watch = new Stopwatch(0);
  watch.piece(100);
  watch.piece(1100);
  const figures = watch.figures({ prompt_tokens: 9, completion_tokens: 21, cached_tokens: 4 });
  expect(figures).toMatchObject({ tokens: 21, prompt_tokens: 9, cached_tokens: 4, tokens_per_second: 20 });
});

test('one token has no rate', () => {
  const watch = new Stopwatch(0);
  watch.piece(5);
  expect(watch.figures(null)?.tokens_per_second).toBeNull();
});
