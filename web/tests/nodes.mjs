// Real nodes on this machine, each with a home and ports of its own.
//
//   FLOTILLA_BINARY       the program (default: build/flotilla of this tree)
//   FLOTILLA_MODELS_DIR   a folder with SmolLM2-135M (default: .cache/models, which scripts/models fills)

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const binary = process.env.FLOTILLA_BINARY ?? join(root, 'build/flotilla');
const models = process.env.FLOTILLA_MODELS_DIR ?? join(root, '.cache/models');
const file = 'SmolLM2-135M-Instruct.Q4_1.gguf';

export const model = file.replace(/\.gguf$/, '');
export const model_file = join(models, file);
export const can_run = existsSync(binary) && existsSync(join(models, file));

// Below those that the system gives to outgoing connections meanwhile and those that other tests take, each once.
let next_port = 10000 + Math.floor(Math.random() * 4000);

async function free_port() {
  for (;;) {
    const port = next_port++;
    const server = createServer();
    const is_free = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!is_free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export async function until(what, condition, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    try {
      const found = await condition();
      if (found) return found;
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited ${seconds} s in vain until ${what}`);
}

export class Node {
  // has_model: its folder has the model's file, and nothing else. More arguments go to `flotilla serve`.
  // hub: where it finds models that it has not (a Hub); else it asks nobody.
  static async start(name, { has_model = false, arguments: more = [], hub = null } = {}) {
    const node = new Node();
    node.name = name;
    node.home = mkdtempSync(join(tmpdir(), 'flotilla-page-'));
    node.port = await free_port();
    node.cluster_port = await free_port();
    node.url = `http://127.0.0.1:${node.port}`;
    node.page = `${node.url}/`;
    if (has_model) symlinkSync(join(models, file), join(node.home, file));
    node.child = spawn(
      binary,
      [
        'serve',
        '--name',
        name,
        '--home',
        join(node.home, 'home'),
        '--api',
        `127.0.0.1:${node.port}`,
        '--cluster-port',
        String(node.cluster_port),
        '--no-discovery',
        '--no-measure',
        '--models',
        node.home,
        ...more,
      ],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          HF_HOME: join(node.home, 'hf'), // not what this machine's user has pulled
          ...(hub ? { HF_ENDPOINT: hub.endpoint } : { HF_HUB_OFFLINE: '1' }),
        },
      },
    );
    await until(`${name} answers`, async () => (await fetch(`${node.url}/health`)).ok);
    return node;
  }

  get(path) {
    return fetch(`${this.url}/${path}`).then((answer) => answer.json());
  }

  post(path, body) {
    return fetch(`${this.url}/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  run(...words) {
    const child = spawn(binary, [...words, '--home', join(this.home, 'home')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return new Promise((resolve) => {
      let said = '';
      child.stdout.on('data', (piece) => (said += piece));
      child.on('close', () => resolve(said));
    });
  }

  kill() {
    this.child.kill('SIGKILL');
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      const patience = setTimeout(() => this.kill(), 10_000);
      await ended;
      clearTimeout(patience);
    }
    rmSync(this.home, { recursive: true, force: true });
  }
}
