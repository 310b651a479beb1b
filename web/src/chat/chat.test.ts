// @vitest-environment jsdom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { SmallIndexedDb } from './small_indexed_db';

const database = new SmallIndexedDb();
vi.stubGlobal('indexedDB', database);
vi.stubGlobal('matchMedia', () => ({ matches: false }));
const { chat } = await import('./chat.svelte');
const Composer = (await import('./Composer.svelte')).default;
const History = (await import('./History.svelte')).default;

const settled = () => new Promise((resolve) => setTimeout(resolve, 100));

// An answer that begins and does not end by itself.
function endless(_path: string, { signal }: RequestInit): Promise<Response> {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('data: {"choices":[{"delta":{"content":"So"}}]}\n\n'));
      signal?.addEventListener('abort', () => controller.error(new DOMException('stopped', 'AbortError')));
    },
  });
  return Promise.resolve(new Response(body));
}

describe('conversations', () => {
  beforeAll(() => chat.start());
  afterEach(() => {
    document.body.innerHTML = '';
    chat.heads = [];
    chat.start_new();
  });

  test('that are deleted while they are answered stay deleted', async () => {
    vi.stubGlobal('fetch', endless);
    chat.send('Why?', []);
    await settled();
    const { id } = chat.current;
    expect(chat.heads.map((head) => head.id)).toEqual([id]);
    expect(chat.turns.at(-1)?.text).toBe('So');
    await chat.remove(id);
    await settled();
    expect(chat.underway.size).toBe(0);
    expect(chat.heads).toEqual([]);
    expect(database.stores.get('conversations')?.size).toBe(0);
  });

  test('a broken connection is said in a sentence, not in a browser’s words', async () => {
    const broken = new ReadableStream({ start: (controller) => controller.error(new TypeError('Load failed')) });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(broken)));
    chat.send('Why?', []);
    await settled();
    expect(chat.turns.at(-1)?.failure).toBe('The connection to this node broke.');
  });

  test('what is written stays while another view is shown', async () => {
    const show = () => {
      const shown = mount(Composer, { target: document.body, props: { disabled_because: null } });
      flushSync();
      return shown;
    };
    const first = show();
    const field = document.querySelector('textarea');
    if (!field) throw new Error('no field');
    field.value = 'Half a ques';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    flushSync();
    await unmount(first);
    const second = show();
    expect(document.querySelector('textarea')?.value).toBe('Half a ques');
    await unmount(second);
  });

  test('the field that finds them stays while something is in it', async () => {
    chat.heads = Array.from({ length: 8 }, (_, at) => ({ id: `${at}`, title: `title ${at}`, changed_at: at }));
    const history = mount(History, { target: document.body });
    flushSync();
    const field = document.querySelector('input');
    if (!field) throw new Error('no field');
    field.value = 'title 1';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    chat.heads = chat.heads.slice(1);
    flushSync();
    expect(document.querySelector('input')?.value).toBe('title 1');
    await unmount(history);
  });
});

test('keys that put a word together neither send nor give up', async () => {
  const { is_composing, is_sending } = await import('./writing_keys');
  expect(is_sending(new KeyboardEvent('keydown', { key: 'Enter' }))).toBe(true);
  expect(is_sending(new KeyboardEvent('keydown', { key: 'Enter', shiftKey: true }))).toBe(false);
  expect(is_sending(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true }))).toBe(false);
  expect(is_composing(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229 }))).toBe(true);
});
