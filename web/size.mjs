// Prints what a browser fetches before the page can be used, compressed as a node sends it, and fails above the limit.
//
//   node size.mjs [DIST-FOLDER]
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

const first_load_bytes_max = 300_000;
const dist = pathToFileURL(`${resolve(process.argv[2] ?? 'dist')}/`);
const compressed = (name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length;

const html = readFileSync(new URL('index.html', dist), 'utf8');
const named = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]);
const first = ['index.html', ...named];
const first_bytes = first.reduce((sum, name) => sum + compressed(name), 0);

const all = readdirSync(dist, { recursive: true }).filter((name) => statSync(new URL(name, dist)).isFile());
const all_bytes = all.reduce((sum, name) => sum + compressed(name), 0);
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
console.log(
  `first load: ${kb(first_bytes)} in ${first.length} files; everything: ${kb(all_bytes)} in ${all.length} files`,
);
if (first_bytes > first_load_bytes_max) {
  console.error(`size: expected a first load of at most ${kb(first_load_bytes_max)}`);
  process.exit(1);
}
