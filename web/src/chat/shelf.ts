// Conversations in the browser's own database. Nothing of them leaves this browser but what is asked.

import { with_turns_of, type Conversation } from './conversation';

export interface Head {
  id: string;
  title: string;
  changed_at: number;
}

export const conversations_max = 300; // a list that can still be read; the oldest make room

const database_name = 'flotilla';
const heads = 'heads';
const bodies = 'conversations';

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser keeps nothing'));
  });
}

// A request that fails ends its transaction; why is known only once that has happened.
function whole(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser keeps nothing'));
  });
}

function is_full(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}

export class Shelf {
  #opened: Promise<IDBDatabase> | null = null;
  #room_helps = true; // false: older ones went and it was full still, as where other programs fill the disk

  #open(): Promise<IDBDatabase> {
    this.#opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(database_name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(heads, { keyPath: 'id' });
        request.result.createObjectStore(bodies, { keyPath: 'id' });
      };
      request.onsuccess = () => {
        request.result.onclose = () => (this.#opened = null); // browsers close it for reasons of theirs
        resolve(request.result);
      };
      request.onerror = () => {
        this.#opened = null;
        reject(request.error ?? new Error('the browser keeps nothing'));
      };
    });
    return this.#opened;
  }

  // Newest first.
  async heads(): Promise<Head[]> {
    const all: Head[] = await done((await this.#open()).transaction(heads).objectStore(heads).getAll());
    return all.sort((a, b) => b.changed_at - a.changed_at);
  }

  async get(id: string): Promise<Conversation | null> {
    const found: Conversation | undefined = await done(
      (await this.#open()).transaction(bodies).objectStore(bodies).get(id),
    );
    return found ?? null;
  }

  // Keeps what another page added to it meanwhile. Where the browser has no room left, the older half goes first: what is
  // written now matters more. Any other failure costs nothing. Gives the ids of those that went.
  async put(conversation: Conversation): Promise<string[]> {
    const gone: string[] = [];
    try {
      await this.#write(conversation);
    } catch (error) {
      if (!is_full(error) || !this.#room_helps) throw error;
      this.#room_helps = false;
      const all = await this.heads();
      const older = all.slice(Math.ceil(all.length / 2)).filter(({ id }) => id !== conversation.id);
      gone.push(...(await this.#remove_all(older)));
      await this.#write(conversation);
      this.#room_helps = true;
    }
    const beyond = (await this.heads()).slice(conversations_max);
    return [...gone, ...(await this.#remove_all(beyond))];
  }

  async #remove_all(heads: Head[]): Promise<string[]> {
    for (const { id } of heads) await this.remove(id);
    return heads.map(({ id }) => id);
  }

  async #write(conversation: Conversation): Promise<void> {
    const transaction = (await this.#open()).transaction([heads, bodies], 'readwrite');
    const { id, title, changed_at } = conversation;
    const kept: Conversation | undefined = await done(transaction.objectStore(bodies).get(id));
    transaction.objectStore(heads).put({ id, title, changed_at });
    transaction.objectStore(bodies).put(kept ? with_turns_of(kept, conversation) : conversation);
    await whole(transaction);
  }

  async remove(id: string): Promise<void> {
    const transaction = (await this.#open()).transaction([heads, bodies], 'readwrite');
    transaction.objectStore(heads).delete(id);
    transaction.objectStore(bodies).delete(id);
    await whole(transaction);
  }
}
