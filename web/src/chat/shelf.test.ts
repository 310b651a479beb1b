import { beforeEach, describe, expect, test, vi } from 'vitest';
import { add_turn, new_conversation, type Conversation } from './conversation';
import { Shelf } from './shelf';
import { SmallIndexedDb } from './small_indexed_db';

let database: SmallIndexedDb;
let shelf: Shelf;

beforeEach(() => {
  database = new SmallIndexedDb();
  vi.stubGlobal('indexedDB', database);
  shelf = new Shelf();
});

const conversation = (at: number): Conversation =>
  new_conversation(`c${at}`, at, { instructions: '', temperature: null, tokens_max: null });

async function keep(count: number): Promise<void> {
  for (let at = 1; at <= count; ++at) await shelf.put(conversation(at));
}

const kept = async () => (await shelf.heads()).map(({ id }) => id);
const full = () => new DOMException('no room', 'QuotaExceededError');

describe('the conversations of a browser', () => {
  test('are kept whole, newest first', async () => {
    await keep(3);
    expect(await kept()).toEqual(['c3', 'c2', 'c1']);
    expect(await shelf.get('c2')).toEqual(conversation(2));
  });

  test('are not written over by another page that has them open', async () => {
    const first = conversation(1);
    const other = structuredClone(first);
    add_turn(first, { id: 'q', parent: null, role: 'user', text: 'here?', at: 2 });
    add_turn(other, { id: 'r', parent: null, role: 'user', text: 'there?', at: 3 });
    await shelf.put(first);
    await shelf.put(other);
    expect((await shelf.get('c1'))?.order).toEqual(['r', 'q']);
  });

  test.each(['AbortError', 'DataCloneError', 'UnknownError'])('all stay where a write fails with %s', async (name) => {
    await keep(4);
    database.failures = [new DOMException('it failed', name)];
    await expect(shelf.put(conversation(5))).rejects.toThrow('it failed');
    expect(await kept()).toEqual(['c4', 'c3', 'c2', 'c1']);
  });

  test('make room, the older half, where there is none', async () => {
    await keep(4);
    database.failures = [full()];
    expect(await shelf.put(conversation(5))).toEqual(['c2', 'c1']);
    expect(await kept()).toEqual(['c5', 'c4', 'c3']);
  });

  test('stay where making room makes none: others fill the disk', async () => {
    await keep(4);
    database.failures = [full()];
    const remove = shelf.remove.bind(shelf);
    let others = 2;
    shelf.remove = async (id) => {
      await remove(id);
      if (--others === 0) database.failures = [full(), full(), full()];
    };
    for (let time = 0; time < 3; ++time) await expect(shelf.put(conversation(5))).rejects.toThrow('no room');
    expect(await kept()).toEqual(['c4', 'c3']);
  });

  test('are opened again where a browser could not, or has closed them', async () => {
    database.open_failures = [new DOMException('not now', 'UnknownError')];
    await expect(shelf.heads()).rejects.toThrow('not now');
    await keep(1);
    database.close();
    expect(await kept()).toEqual(['c1']);
  });
});
