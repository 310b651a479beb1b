import { expect, test } from 'vitest';
import { no_choice, plan_path, wishes_of } from './plan_query';

test('who chose nothing asks for nothing but the model', () => {
  expect(wishes_of(no_choice)).toEqual({});
  expect(plan_path('org/a b', no_choice)).toBe('plan?model=org%2Fa+b');
});

test('choices are asked as the planner reads them', () => {
  const choice = { context: 2048, sequences: 2, mode: 'tensor', nodes: ['a', 'b'] };
  expect(plan_path('m', choice)).toBe('plan?model=m&context=2048&sequences=2&mode=tensor&nodes=a%2Cb');
  expect(wishes_of(choice)).toEqual(choice);
});
