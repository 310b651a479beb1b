// For tests: of a browser's database what the shelf asks for, in memory, and failing where a test says so.

export class SmallIndexedDb {
  readonly stores = new Map<string, Map<string, { id: string }>>();
  failures: DOMException[] = []; // of the next writes, first to last
  open_failures: DOMException[] = [];
  #connection: { onclose: (() => void) | null } | null = null;

  open(): object {
    const failure = this.open_failures.shift();
    const result = this.#database();
    this.#connection = result;
    return this.#request({ result, error: failure ?? null }, Boolean(failure));
  }

  // As a browser closes it that needs the memory.
  close(): void {
    const closed = this.#connection;
    this.#connection = null;
    closed?.onclose?.();
  }

  #request<T extends object>(request: T, fails = false): T {
    const told = request as T & Record<string, (() => void) | undefined>;
    queueMicrotask(() => {
      if (!fails && this.stores.size === 0) told['onupgradeneeded']?.();
      told[fails ? 'onerror' : 'onsuccess']?.();
    });
    return request;
  }

  #database() {
    const database = {
      onclose: null as (() => void) | null,
      createObjectStore: (name: string) => this.stores.set(name, new Map()),
      transaction: (_names: unknown, mode?: string) => {
        if (this.#connection !== database) throw new DOMException('it is closing', 'InvalidStateError');
        return this.#transaction(mode === 'readwrite');
      },
    };
    return database;
  }

  #transaction(writes: boolean): object {
    const work: (() => void)[] = [];
    const transaction: Record<string, unknown> = {
      error: null,
      objectStore: (name: string) => {
        const store = this.stores.get(name) ?? new Map<string, { id: string }>();
        return {
          get: (id: string) => this.#request({ result: structuredClone(store.get(id)) }),
          getAll: () => this.#request({ result: structuredClone([...store.values()]) }),
          put: (value: { id: string }) => work.push(() => store.set(value.id, structuredClone(value))),
          delete: (id: string) => work.push(() => store.delete(id)),
        };
      },
    };
    setTimeout(() => {
      const puts = work.length > 0 && writes;
      const failure = puts ? this.failures.shift() : undefined;
      if (failure) {
        (transaction['onerror'] as (() => void) | undefined)?.(); // before it is known why
        transaction['error'] = failure;
        (transaction['onabort'] as () => void)();
        return;
      }
      for (const each of work) each();
      if (writes) (transaction['oncomplete'] as () => void)();
    });
    return transaction;
  }
}
