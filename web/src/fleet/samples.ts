// For tests: a machine and a placement of which nothing is worth saying but what a test says.

import type { Machine, Placement } from '../api/answers';

export function machine(name: string, over: Partial<Machine> = {}): Machine {
  return {
    id: name,
    name,
    state: 'joined',
    version: '1',
    memory_bytes: 1,
    memory_free_bytes: 1,
    on_battery: false,
    devices: [],
    models: [],
    standby: { free_bytes: 0, copying: [] },
    ...over,
  };
}

export function placement(over: Partial<Placement> = {}): Placement {
  return {
    model: 'm',
    state: 'ready',
    epoch: 1,
    incarnation: 1,
    context_tokens: 1,
    sequences: 1,
    on_disk_of: [],
    stages: [{ nodes: ['a'], layers: [0, 4], mode: 'pipeline', weight_bytes: 0, kv_bytes: 0, compute_bytes: 0 }],
    ...over,
  };
}
