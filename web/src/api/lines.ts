// Bytes as they come → whole lines. A character or a line end may be cut anywhere.

import { broken_connection } from './api_error';

export class LineSplitter {
  #rest = '';
  #after_return = false; // a line feed that comes next belongs to the line end before it

  push(text: string): string[] {
    const lines: string[] = [];
    for (const piece of this.#pieces(text)) lines.push(piece);
    return lines;
  }

  // What came after the last line end.
  end(): string {
    const rest = this.#rest;
    this.#rest = '';
    return rest;
  }

  *#pieces(text: string): Generator<string> {
    let start = 0;
    for (let at = 0; at < text.length; ++at) {
      const character = text[at];
      const swallowed = this.#after_return && character === '\n';
      this.#after_return = character === '\r';
      if (swallowed) {
        start = at + 1;
      } else if (character === '\n' || character === '\r') {
        const line = this.#rest + text.slice(start, at);
        this.#rest = '';
        start = at + 1;
        yield line;
      }
    }
    this.#rest += text.slice(start);
  }
}

function say_why(error: unknown): never {
  throw error instanceof TypeError ? broken_connection() : error;
}

export async function* lines_of(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const splitter = new LineSplitter();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(say_why);
      if (done) break;
      yield* splitter.push(decoder.decode(value, { stream: true }));
    }
    yield* splitter.push(decoder.decode());
    const rest = splitter.end();
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {}); // whoever stops reading early lets go of the connection
  }
}
