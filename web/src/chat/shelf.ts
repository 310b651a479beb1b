// Conversations in the browser's own database. Nothing of them leaves this browser but what is asked.

import type { Conversation } from './conversation';

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

function whole(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(transaction.error ?? new Error('the browser keeps nothing'));
    transaction.oncomplete = () => resolve();
    transaction.onabort = fail;
    transaction.onerror = fail;
  });
}

export class Shelf {
  #opened: Promise<IDBDatabase> | null = null;

  #open(): Promise<IDBDatabase> {
    this.#opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(database_name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(heads, { keyPath: 'id' });
        request.result.createObjectStore(bodies, { keyPath: 'id' });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('the browser keeps nothing'));
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

  // Where the browser has no room left, the older half goes first: what is written now matters more.
  async put(conversation: Conversation): Promise<void> {
    try {
      await this.#write(conversation);
    } catch {
      const all = await this.heads();
      for (const { id } of all.slice(Math.ceil(all.length / 2))) if (id !== conversation.id) await this.remove(id);
      await this.#write(conversation);
    }
    for (const { id } of (await this.heads()).slice(conversations_max)) await this.remove(id);
  }

  async #write(conversation: Conversation): Promise<void> {
    const transaction = (await this.#open()).transaction([heads, bodies], 'readwrite');
    const { id, title, changed_at } = conversation;
    transaction.objectStore(heads).put({ id, title, changed_at });
    transaction.objectStore(bodies).put(conversation);
    await whole(transaction);
  }

  async remove(id: string): Promise<void> {
    const transaction = (await this.#open()).transaction([heads, bodies], 'readwrite');
    transaction.objectStore(heads).delete(id);
    transaction.objectStore(bodies).delete(id);
    await whole(transaction);
  }
}
