// The address of a node's page. A node that was built without it gets a stand-in: dist/ with the headers a node would
// send, and everything else handed to the node.
//
//   node tests/page_server.mjs NODE-URL [PORT]     the stand-in by hand; prints its own address

import { createReadStream, existsSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " +
  "connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.md': 'text/plain; charset=utf-8',
};

function file_of(path) {
  const name = path === '/' ? 'index.html' : path.slice(1);
  return /^[\w.-]+$|^assets\/[\w.-]+$/.test(name) && existsSync(join(dist, name)) ? name : null;
}

function hand_on(asked, answer, node) {
  const passed = request(
    { host: node.hostname, port: node.port, path: asked.url, method: asked.method, headers: asked.headers },
    (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    },
  );
  passed.on('error', () => answer.destroy());
  answer.on('close', () => passed.destroy());
  asked.pipe(passed);
}

// Resolves with {url, close}.
export async function page_of(node_url) {
  const answer = await fetch(node_url, { headers: { Accept: 'text/html' } });
  const is_page = answer.headers.get('content-type')?.startsWith('text/html') ?? false;
  return is_page ? { url: `${node_url}/`, close: async () => {} } : stand_in(node_url);
}

async function stand_in(node_url, port = 0) {
  const node = new URL(node_url);
  const server = createServer((asked, answer) => {
    const file = asked.method === 'GET' ? file_of(new URL(asked.url, 'http://page').pathname) : null;
    if (!file) return hand_on(asked, answer, node);
    answer.writeHead(200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    createReadStream(join(dist, file)).pipe(answer);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await stand_in(process.argv[2], Number(process.argv[3] ?? 0))).url);
}
