// Server-sent events out of lines, as the HTML standard reads them; comments too, because a node says ": waiting" so.

export type SseItem = { kind: 'event'; name: string; data: string } | { kind: 'comment'; text: string };

export class SseParser {
  #name = '';
  #data: string[] = [];

  // What one line completes: an event by an empty line, a comment at once, most lines nothing.
  line(line: string): SseItem | null {
    if (line === '') return this.#event();
    const colon = line.indexOf(':');
    if (colon === 0) return { kind: 'comment', text: line.slice(1).trim() };
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#name = value;
    return null;
  }

  #event(): SseItem | null {
    const item = { kind: 'event', name: this.#name || 'message', data: this.#data.join('\n') } as const;
    const had_data = this.#data.length > 0;
    this.#name = '';
    this.#data = [];
    return had_data ? item : null;
  }
}
