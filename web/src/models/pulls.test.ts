// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { figures } from '../fleet/figures.svelte';
import { pulls } from './pulls.svelte';

let status = 200;
beforeEach(() => {
  vi.useFakeTimers();
  const under_way = { model: 'org/name', revision: 'main', done_bytes: 1, total_bytes: 2, bytes_per_second: 0 };
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ pulls: [under_way] }), { status })));
});
afterEach(() => vi.useRealTimers());

async function after(ms: number, next: number): Promise<void> {
  status = next;
  await vi.advanceTimersByTimeAsync(ms);
}

describe('who looks at a node again and again', () => {
  test.each([429, 500, 503])('goes on after a %i', async (trouble) => {
    const ended = pulls.watch();
    await after(0, 200);
    expect(pulls.is_possible).toBe(true);
    await after(2_000, trouble);
    expect(pulls.is_possible).toBe(true);
    expect(pulls.all).toHaveLength(1);
    await after(4_000, 200);
    expect(pulls.all).toHaveLength(1);
    ended();
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([401, 403, 404])('ends at a %i: the answer would be the same', async (refusal) => {
    status = refusal;
    const ended = pulls.watch();
    await vi.advanceTimersByTimeAsync(0);
    expect(pulls.is_possible).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    ended();
  });

  test('sees figures again after a node was away', async () => {
    status = 503;
    const ended = figures.watch();
    await vi.advanceTimersByTimeAsync(0);
    expect(figures.now).toBeNull();
    await after(4_000, 200);
    expect(figures.now).not.toBeNull();
    ended();
    expect(vi.getTimerCount()).toBe(0);
  });
});
