// The hub of the tests (tests/harness/hub_server.py) as a process of its own, with one repository in it.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const harness = fileURLToPath(new URL('../../tests/harness', import.meta.url));

// Says where it is, and then does what each line of its input says: {"bytes_per_second": N} slows it down.
const program = `
import json, sys
sys.path.insert(0, sys.argv[1])
from hub_server import HubServer
with HubServer() as hub:
    hub.add(sys.argv[2], json.loads(sys.argv[3]))
    print(hub.endpoint, flush=True)
    for line in sys.stdin:
        for name, value in json.loads(line).items():
            setattr(hub.trouble, name, value)
        print("done", flush=True)
`;

export class Hub {
  // files: path in the repository → path on this machine.
  static async start(repository, files) {
    const hub = new Hub();
    hub.child = spawn('python3', ['-c', program, harness, repository, JSON.stringify(files)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    hub.lines = createInterface({ input: hub.child.stdout })[Symbol.asyncIterator]();
    hub.endpoint = (await hub.lines.next()).value;
    if (!hub.endpoint) throw new Error('the hub did not start');
    return hub;
  }

  async set(troubles) {
    this.child.stdin.write(`${JSON.stringify(troubles)}\n`);
    await this.lines.next();
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL'); // a thread of it may be about to send for ever
    await ended;
  }
}
