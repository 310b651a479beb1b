// Why a request was not answered as wished: a sentence for people and what the node calls it.

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer at all
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

// "[server] expected X but got Y": which room said it is for logs, not for readers.
export function sentence(message: string): string {
  const text = message.replace(/^\[\w+\]\s*/, '').trim();
  if (!text) return 'The node gave no reason.';
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…)]$/.test(begun) ? begun : `${begun}.`;
}

function has_message(error: unknown): error is { message: string; code?: unknown } {
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string';
}

// `body` is the text of an answer whose status is no success; it need not be ours (a proxy's page).
export function error_of(status: number, body: string): ApiError {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed) return error_in(parsed.error, status);
  } catch {
    // Not JSON: said below by its status.
  }
  return new ApiError(status, 'unknown', `The node answered with status ${status}.`);
}

export function error_in(error: unknown, status = 200): ApiError {
  if (!has_message(error)) return new ApiError(status, 'unknown', 'The node gave no reason.');
  return new ApiError(status, typeof error.code === 'string' ? error.code : 'unknown', sentence(error.message));
}

// What browsers call "Failed to fetch", "Load failed" or "network error", each its own way.
export function broken_connection(): ApiError {
  return new ApiError(0, 'broken', 'The connection to this node broke.');
}

export function unreachable(): ApiError {
  return new ApiError(0, 'unreachable', 'This node does not answer. Is it still running?');
}

// Not for this key, or not at this node: asked again, the answer would be the same.
export function is_refusal(error: unknown): boolean {
  return error instanceof ApiError && [401, 403, 404].includes(error.status);
}

export function message_of(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
