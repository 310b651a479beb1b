import { describe, expect, test } from 'vitest';
import { ago, byte_rate, bytes, layer_range, listed, plural, seconds, share, three_digits, token_rate } from './format';

describe('numbers as people read them', () => {
  test('three digits, never 10.00 or 1000', () => {
    expect([1.234, 12.34, 123.4, 9.996, 99.96].map(three_digits)).toEqual(['1.23', '12.3', '123', '10.0', '100']);
  });

  test('sizes are binary', () => {
    expect(bytes(0)).toBe('0 B');
    expect(bytes(1023)).toBe('1023 B');
    expect(bytes(98_362_432)).toBe('93.8 MiB');
    expect(bytes(18_522_508_492)).toBe('17.3 GiB');
    expect(bytes(1024 ** 3 - 1)).toBe('1.00 GiB');
  });

  test('rates are decimal', () => {
    expect(byte_rate(117_000_000)).toBe('117 MB/s');
    expect(byte_rate(1.1e9)).toBe('1.10 GB/s');
  });

  test('times take the unit that fits', () => {
    expect([0.00015, 0.0238, 1.31, 250, 86_400].map(seconds)).toEqual([
      '150 µs',
      '23.8 ms',
      '1.31 s',
      '4 min',
      '24.0 h',
    ]);
  });

  test('slow rates keep a digit, quick ones none', () => {
    expect([0.73, 9.96, 42.4].map(token_rate)).toEqual(['0.7 tokens/s', '10.0 tokens/s', '42 tokens/s']);
  });

  test('layers are said with the last one', () => {
    expect(layer_range([0, 15])).toBe('0–14');
    expect(layer_range([3, 4])).toBe('3');
  });

  test('words agree with their number', () => {
    expect([plural(1, 'machine'), plural(2, 'machine'), plural(0, 'reply', 'replies')]).toEqual([
      '1 machine',
      '2 machines',
      '0 replies',
    ]);
  });

  test('names are listed as they are said', () => {
    expect([listed([]), listed(['a']), listed(['a', 'b'], 'or'), listed(['a', 'b', 'c'])]).toEqual([
      '',
      'a',
      'a or b',
      'a, b and c',
    ]);
  });

  test('a share of nothing is nothing', () => {
    expect([share(1, 0), share(1, 2), share(3, 2)]).toEqual([0, 0.5, 1]);
  });

  test('times that passed', () => {
    expect([ago(0, 5_000), ago(0, 45_000), ago(0, 150_000), ago(0, 7_300_000)]).toEqual([
      'just now',
      '45 s ago',
      '2 min ago',
      '2 h ago',
    ]);
  });
});
