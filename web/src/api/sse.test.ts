import { describe, expect, test } from 'vitest';
import { LineSplitter, lines_of } from './lines';
import { SseParser, type SseItem } from './sse';

function items(text: string): SseItem[] {
  const splitter = new LineSplitter();
  const parser = new SseParser();
  return splitter.push(text).flatMap((line) => parser.line(line) ?? []);
}

describe('lines', () => {
  test('end with LF, CR or CRLF, also where a CRLF is cut', () => {
    const splitter = new LineSplitter();
    expect(splitter.push('a\nb\rc\r')).toEqual(['a', 'b', 'c']);
    expect(splitter.push('\nd\r\n')).toEqual(['d']);
    expect(splitter.push('\n')).toEqual(['']);
    expect(splitter.push('re')).toEqual([]);
    expect(splitter.push('st')).toEqual([]);
    expect(splitter.end()).toBe('rest');
  });

  test('survive a cut through any byte of a character', async () => {
    const bytes = new TextEncoder().encode('grüße\n🚢\nend');
    for (let cut = 1; cut < bytes.length; ++cut) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes.slice(0, cut));
          controller.enqueue(bytes.slice(cut));
          controller.close();
        },
      });
      const lines: string[] = [];
      for await (const line of lines_of(body)) lines.push(line);
      expect(lines).toEqual(['grüße', '🚢', 'end']);
    }
  });
});

describe('server-sent events', () => {
  test('are whole at an empty line', () => {
    expect(items('data: {"a":1}\n\ndata: [DONE]\n\n')).toEqual([
      { kind: 'event', name: 'message', data: '{"a":1}' },
      { kind: 'event', name: 'message', data: '[DONE]' },
    ]);
  });

  test('join several data lines and keep their name', () => {
    expect(items('event: delta\ndata: one\ndata:  two\nid: 7\n\n')).toEqual([
      { kind: 'event', name: 'delta', data: 'one\n two' },
    ]);
  });

  test('tell comments at once, also between the lines of an event', () => {
    expect(items('data: x\n: waiting\n\n:keep-alive\n')).toEqual([
      { kind: 'comment', text: 'waiting' },
      { kind: 'event', name: 'message', data: 'x' },
      { kind: 'comment', text: 'keep-alive' },
    ]);
  });

  test('without data are none, and one that is cut off is not told', () => {
    expect(items('event: nothing\n\n\ndata: half')).toEqual([]);
  });
});
