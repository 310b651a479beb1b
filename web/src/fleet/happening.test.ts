import { describe, expect, test } from 'vitest';
import type { Machine, Placement } from '../api/answers';
import { happened, type Look } from './happening';
import { machine, placement } from './samples';

function look(machines: Machine[], placements: Placement[] = [], waiting: Look['waiting'] = []): Look {
  return { machines, placements, waiting };
}

const texts = (before: Look, after: Look) => happened(before, after).map(({ text }) => text);

describe('between two looks', () => {
  test('nothing happened where nothing changed', () => {
    const same = look([machine('a')], [placement()]);
    expect(happened(same, structuredClone(same))).toEqual([]);
  });

  test('machines come, fall silent, answer again and go', () => {
    const suspect = machine('b', { state: 'suspect', reason: 'silent for 3 s' });
    expect(texts(look([machine('a')]), look([machine('a'), machine('b')]))).toEqual(['b joined']);
    expect(texts(look([machine('b')]), look([suspect]))).toEqual(['b does not answer: silent for 3 s']);
    expect(texts(look([suspect]), look([machine('b')]))).toEqual(['b answers again']);
    expect(texts(look([suspect]), look([]))).toEqual(['b is gone']);
  });

  test('a model that was lost and loaded again says what was done about it', () => {
    const again = placement({ epoch: 2, detail: 'loaded again: b is gone' });
    expect(texts(look([], [placement()]), look([], [again]))).toEqual([
      'm is ready on a (layers 0–3)',
      'm: loaded again: b is gone',
      'm is no longer loaded there',
    ]);
  });

  test('answers that wait say for what, and that they go on', () => {
    const wait = [{ model: 'm', node: 'a', requests: 1, detail: 'no machine is left' }];
    expect(texts(look([]), look([], [], wait))).toEqual(['Answers of m wait at a: no machine is left']);
    expect(texts(look([], [], wait), look([]))).toEqual(['Answers of m go on at a']);
  });

  test('power and standby copies are told', () => {
    const copying = machine('a', {
      standby: { free_bytes: 0, copying: [{ model: 'm', done_bytes: 1, total_bytes: 2 }] },
    });
    const whole = machine('a', { models: [{ name: 'm', file_bytes: 2, complete: true }] });
    expect(texts(look([machine('a')]), look([copying]))).toEqual(['a began a standby copy of m']);
    expect(texts(look([copying]), look([whole]))).toEqual(['a has a standby copy of m']);
    expect(texts(look([machine('a')]), look([machine('a', { on_battery: true })]))).toEqual(['a runs on battery']);
  });
});
