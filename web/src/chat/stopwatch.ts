// Times one answer: how long until its first token, and how quickly the others followed. The time is the caller's.

import type { Usage } from './answer_stream';
import type { AnswerFigures } from './conversation';

export class Stopwatch {
  #first: number | null = null;
  #last = 0;
  #pieces = 0;

  constructor(readonly asked_at: number) {}

  piece(now: number): void {
    this.#first ??= now;
    this.#last = now;
    ++this.#pieces;
  }

  // Before the node has told how many there were, each piece of text counts as a token. That is nearly so.
  figures(usage: Usage | null): AnswerFigures | null {
    if (this.#first === null) return null;
    const tokens = usage?.completion_tokens ?? this.#pieces;
    const seconds = (this.#last - this.#first) / 1000;
    return {
      tokens,
      prompt_tokens: usage?.prompt_tokens ?? 0,
      cached_tokens: usage?.cached_tokens ?? 0,
      first_token_seconds: (this.#first - this.asked_at) / 1000,
      tokens_per_second: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null,
    };
  }
}
