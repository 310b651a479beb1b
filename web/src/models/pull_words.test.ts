import { expect, test } from 'vitest';
import { progress_words, reference_of } from './pull_words';

test('a quantization is asked for by the repository, the usual one by the name', () => {
  const model = { name: 'qwen3-4b', repository: 'Qwen/Qwen3-4B-GGUF', kind: 'short' };
  expect(reference_of(model, '')).toBe('qwen3-4b');
  expect(reference_of(model, 'Q8_0')).toBe('Qwen/Qwen3-4B-GGUF:Q8_0');
});

test('progress says how much, how quickly, and how long it will take', () => {
  const mib = 1024 * 1024;
  expect(progress_words({ done_bytes: 0, total_bytes: 0, bytes_per_second: 0 })).toBe('asking the hub…');
  expect(progress_words({ done_bytes: 10 * mib, total_bytes: 70 * mib, bytes_per_second: 0 })).toBe(
    '10.0 MiB of 70.0 MiB',
  );
  expect(progress_words({ done_bytes: 10 * mib, total_bytes: 70 * mib, bytes_per_second: 2 * mib })).toBe(
    '10.0 MiB of 70.0 MiB · 2.10 MB/s · 30 s left',
  );
  expect(progress_words({ done_bytes: 69 * mib, total_bytes: 70 * mib, bytes_per_second: 2 * mib })).toBe(
    '69.0 MiB of 70.0 MiB · 2.10 MB/s',
  );
});
