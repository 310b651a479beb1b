// Turns the built page into a C++ source: each file compressed, with what a browser is told of it.
//
//   node embed.mjs DIST-FOLDER SOURCE.cc

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.md': 'text/plain; charset=utf-8',
};
const line_bytes = 28; // four characters each, and what stands around them

function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += line_bytes) {
    const octal = Array.from(bytes.subarray(at, at + line_bytes), (byte) => `\\${byte.toString(8).padStart(3, '0')}`);
    lines.push(`    "${octal.join('')}"`);
  }
  return `${lines.join('\n')}sv`;
}

function entry(folder, name) {
  const type = types[extname(name)];
  if (!type) throw new Error(`embed: no type is known for ${name}`);
  const plain = readFileSync(join(folder, name));
  const etag = createHash('sha256').update(plain).digest('hex').slice(0, 32);
  const gzip = gzipSync(plain, { level: 9 });
  const is_lasting = name.startsWith('assets/');
  return `  {"/${name}", "${type}", "\\"${etag}\\"",\n${literal(gzip)},\n   ${plain.length}, ${is_lasting}},`;
}

const [, , folder, source] = process.argv;
const names = readdirSync(folder, { recursive: true })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => statSync(join(folder, name)).isFile())
  .sort();
writeFileSync(
  source,
  `// Made from the page by web/embed.mjs.
#include "app/embedded_page.h"

namespace flotilla {
namespace {

using namespace std::string_view_literals;

constexpr PageFile files[] = {
${names.map((name) => entry(folder, name)).join('\n')}
};

}  // namespace

PageFiles embedded_page() { return files; }

}  // namespace flotilla
`,
);
