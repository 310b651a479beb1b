import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

// Of the browser's only what the client asks for.
vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} });
const { get, post_lines } = await import('./client');
const { facts_of } = await import('./model_facts');

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

  test('that breaks off says so in a sentence, not in a browser’s words', async () => {
    const broken = new ReadableStream({ start: (controller) => controller.error(new TypeError('Load failed')) });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(broken)));
    await expect(read()).rejects.toThrow('The connection to this node broke.');
  });

  test('is no success where it ends too early', async () => {
    answers('{"progress":{"done":1}}\n');
    await expect(read()).rejects.toThrow('ended before');
  });
});

describe('a question', () => {
  afterEach(() => vi.restoreAllMocks());

  test('about a model has its whole name, whatever is in it', async () => {
    const asked = vi.fn(() => Promise.resolve(new Response('{}')));
    vi.stubGlobal('fetch', asked);
    await facts_of('org/50% #1?');
    expect(asked).toHaveBeenCalledWith('./models/org%2F50%25%20%231%3F', expect.anything());
  });

  test('that is asked again and again ends where nobody answers', async () => {
    const over = AbortSignal.abort(new DOMException('it took too long', 'TimeoutError'));
    vi.spyOn(AbortSignal, 'timeout').mockReturnValue(over);
    const sleeps = (_path: string, { signal }: RequestInit) =>
      signal?.aborted ? Promise.reject(signal.reason as Error) : new Promise<Response>(() => {});
    vi.stubGlobal('fetch', sleeps);
    await expect(get('cluster', { quietly: true })).rejects.toThrow('This node does not answer');
  });
});
