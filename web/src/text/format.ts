// Numbers as people read them. Sizes are binary, as everywhere in Flotilla; rates decimal, as networks are sold.

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const decimal = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'];

function scaled(value: number, step: number, units: string[]): string {
  let at = 0;
  while (at + 1 < units.length && Math.abs(value) >= step * 0.9995) {
    value /= step;
    ++at;
  }
  return `${at === 0 ? Math.round(value) : three_digits(value)} ${units[at]}`;
}

// 1234 → 1234, 123.4 → 123, 12.34 → 12.3, 1.234 → 1.23
export function three_digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

export const bytes = (value: number): string => scaled(value, 1024, binary);
export const byte_rate = (value: number): string => scaled(value, 1000, decimal);

export function seconds(value: number): string {
  if (value < 0.000_999_5) return `${three_digits(value * 1e6)} µs`;
  if (value < 0.9995) return `${three_digits(value * 1000)} ms`;
  if (value < 99.5) return `${three_digits(value)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 100 ? `${minutes} min` : `${three_digits(value / 3600)} h`;
}

export function token_rate(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} tokens/s`;
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// "a", "a and b", "a, b and c".
export function listed(names: string[], word = 'and'): string {
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}` : (names[0] ?? '');
}

// [0, 15) → "0–14"
export function layer_range([first, end]: [number, number]): string {
  return end - first === 1 ? `${first}` : `${first}–${end - 1}`;
}

export function ago(then: number, now: number): string {
  const passed = Math.max(0, (now - then) / 1000);
  if (passed < 10) return 'just now';
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  return new Date(then).toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}

export function share(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0;
}
