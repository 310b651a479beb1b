import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

// Of the browser's only what the client asks for.
vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} });
const { post_lines } = await import('./client');

function answers(text: string): void {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(text)));
}

describe('an answer of several lines', () => {
  let heard: string[];
  beforeEach(() => (heard = []));
  afterEach(() => vi.unstubAllGlobals());
  const read = () =>
    post_lines<{ done: number }, { name: string }>('pull', {}, 'pulled', {
      on_progress: ({ done }) => heard.push(`progress ${done}`),
      on_note: (note) => heard.push(`note ${note}`),
    });

  test('tells progress and notes in their order, then its result', async () => {
    answers('{"progress":{"done":1}}\n\n{"note":"tried again"}\n{"progress":{"done":2}}\n{"pulled":{"name":"a"}}\n');
    expect(await read()).toEqual({ name: 'a' });
    expect(heard).toEqual(['progress 1', 'note tried again', 'progress 2']);
  });

  test('is an error where a line says so, in a sentence of its own', async () => {
    answers('{"progress":{"done":1}}\n{"error":{"code":"not_found","message":"[hub] expected a but got b"}}\n');
    await expect(read()).rejects.toThrow('Expected a but got b.');
  });

  test('is no success where it ends too early', async () => {
    answers('{"progress":{"done":1}}\n');
    await expect(read()).rejects.toThrow('ended before');
  });
});
