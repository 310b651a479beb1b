// One way to the node: relative addresses, the key where there is one, errors as sentences.

import { ApiError, error_in, error_of, unreachable } from './api_error';
import { api_key } from './key.svelte';
import { lines_of } from './lines';

interface Wish {
  body?: unknown; // makes it a POST
  signal?: AbortSignal;
  quietly?: boolean; // nobody is asked for a key: for what is fetched again and again
}

const quiet_patience_ms = 30_000; // a node that sleeps neither answers nor refuses

async function send(path: string, wish: Wish, key: string): Promise<Response> {
  const headers: Record<string, string> = {};
  if (key) headers['Authorization'] = `Bearer ${key}`;
  if (wish.body !== undefined) headers['Content-Type'] = 'application/json';
  const signal = wish.signal ?? (wish.quietly ? AbortSignal.timeout(quiet_patience_ms) : null);
  try {
    return await fetch(`./${path}`, {
      method: wish.body === undefined ? 'GET' : 'POST',
      headers,
      cache: 'no-store',
      ...(wish.body === undefined ? {} : { body: JSON.stringify(wish.body) }),
      signal,
    });
  } catch (error) {
    if (wish.signal?.aborted) throw error;
    throw unreachable();
  }
}

// An answer that succeeded; its body is still to be read.
export async function ask(path: string, wish: Wish = {}): Promise<Response> {
  const key = api_key.value;
  const response = await send(path, wish, key);
  if (response.ok) return response;
  const error = error_of(response.status, await response.text());
  if (error.status === 401 && !wish.quietly && (await api_key.ask(key))) return ask(path, wish);
  throw error;
}

export async function get<T>(path: string, wish: Omit<Wish, 'body'> = {}): Promise<T> {
  return (await (await ask(path, wish)).json()) as T;
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  return (await (await ask(path, { body })).json()) as T;
}

interface Lines<Progress> {
  on_progress: (progress: Progress) => void;
  on_note?: (note: string) => void;
  signal?: AbortSignal;
}

// POST whose answer is lines of JSON: {"progress": …}, {"note": …} and at last {[result]: …} or {"error": …}.
export async function post_lines<Progress, Result>(
  path: string,
  body: unknown,
  result: string,
  { on_progress, on_note, signal }: Lines<Progress>,
): Promise<Result> {
  const response = await ask(path, signal ? { body, signal } : { body });
  if (!response.body) throw unreachable();
  for await (const line of lines_of(response.body)) {
    if (!line) continue;
    const said = JSON.parse(line) as Record<string, unknown>;
    if ('error' in said) throw error_in(said['error']);
    if (result in said) return said[result] as Result;
    if ('progress' in said) on_progress(said['progress'] as Progress);
    if (typeof said['note'] === 'string') on_note?.(said['note']);
  }
  throw new ApiError(200, 'broken', 'The answer ended before it said how it went.');
}
