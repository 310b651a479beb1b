import { expect, test } from 'vitest';

import { first_model } from './first_model';

const model = (id: string, state = 'on disk') => ({ id, state });
const answers_unless = (name: string) => (id: string) => Promise.resolve(id !== name);
const nobody = () => Promise.resolve(false);

test('one that is loaded comes first', async () => {
  expect(await first_model([model('a'), model('b', 'ready')], answers_unless(''))).toBe('b');
});

test('one that only makes vectors is passed over, loaded or not', async () => {
  expect(await first_model([model('vectors'), model('b')], answers_unless('vectors'))).toBe('b');
  expect(await first_model([model('a'), model('vectors', 'ready')], answers_unless('vectors'))).toBe('a');
});

test('where none answers there is one all the same, and where there is none, none', async () => {
  expect(await first_model([model('vectors')], nobody)).toBe('vectors');
  expect(await first_model([], nobody)).toBeUndefined();
});

test('only as many are asked as it takes', async () => {
  const asked: string[] = [];
  await first_model([model('a'), model('b')], (id) => (asked.push(id), Promise.resolve(true)));
  expect(asked).toEqual(['a']);
});
