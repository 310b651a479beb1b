import { expect, test } from 'vitest';
import { lap_seconds, ring_arcs, spans } from './ring';

const sum = (numbers: number[]) => numbers.reduce((all, each) => all + each, 0);

test('stages and the gaps between them make a circle, longer where there are more layers', () => {
  const [first = 0, second = 0] = spans([18, 12]);
  expect(first + second).toBeCloseTo(350);
  expect(first / second).toBeCloseTo(1.5);
  expect(spans([30])).toEqual([360]);
});

test('a stage of one layer among hundreds is still seen', () => {
  const found = spans([200, 1, 200]);
  expect(sum(found)).toBeCloseTo(345);
  expect(found[1]).toBeCloseTo(16);
});

test('many small stages share what there is', () => {
  const found = spans(Array.from({ length: 32 }, () => 1));
  expect(sum(found)).toBeCloseTo(200);
  expect(Math.min(...found)).toBeGreaterThan(0);
});

test('machines that share a stage lie side by side', () => {
  const [stage = []] = ring_arcs([{ layers: 4, machines: 2 }], { centre: 100, radius: 80 }, 20);
  expect(stage.map((arc) => arc.path.includes('A85 85') || arc.path.includes('A75 75'))).toEqual([true, true]);
});

test('tokens go round visibly, however many they are', () => {
  expect(lap_seconds(0.1)).toBe(8);
  expect(lap_seconds(1e6)).toBe(0.9);
  expect(lap_seconds(25)).toBe(1);
});
