// @vitest-environment jsdom
// Lists whose items may look alike: two of one name must not break the view they are in.
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Placement, Plan, PlannedStage } from '../api/answers';
import { machine, placement } from '../fleet/samples';

vi.stubGlobal('matchMedia', () => ({ matches: false }));
const { fleet } = await import('../fleet/watch.svelte');
const { pulls } = await import('./pulls.svelte');
const MachineCard = (await import('../fleet/MachineCard.svelte')).default;
const PlacementCard = (await import('../fleet/PlacementCard.svelte')).default;
const LinkTable = (await import('../fleet/LinkTable.svelte')).default;
const MachineMeters = (await import('./MachineMeters.svelte')).default;
const ModelCard = (await import('./ModelCard.svelte')).default;
const PlanPreview = (await import('./PlanPreview.svelte')).default;
const UnderWay = (await import('./UnderWay.svelte')).default;

let shown: Record<string, unknown> | undefined;
beforeEach(() => vi.stubGlobal('fetch', () => Promise.resolve(new Response('{}', { status: 503 }))));
afterEach(async () => {
  if (shown) await unmount(shown);
  shown = undefined;
  document.body.innerHTML = '';
  fleet.machines = [];
  fleet.placements = [];
  fleet.waiting = [];
  pulls.all = [];
});

// Each head counts for itself: a model that makes vectors is placed once on each machine, each time the first.
const copy = (incarnation: number): Placement =>
  placement({
    model: 'vectors',
    incarnation,
    detail: `copy ${incarnation}`,
    stages: [{ nodes: ['pi'], layers: [0, 4], mode: 'pipeline', weight_bytes: 0, kv_bytes: 0, compute_bytes: 0 }],
  });

const text = () => (flushSync(), document.body.textContent ?? '');

describe('what looks alike is shown twice', () => {
  test('copies of a model, by its card and by their machine', () => {
    fleet.placements = [copy(1), copy(2)];
    shown = mount(ModelCard, { target: document.body, props: { model: { id: 'vectors', state: 'ready' } } });
    expect(text()).toMatch(/copy 1.*copy 2/s);
  });

  test('models and copies under way at one machine', () => {
    fleet.placements = [copy(1), copy(2)];
    const copying = [1, 2].map((done_bytes) => ({ model: 'vectors', done_bytes, total_bytes: 4 }));
    const props = { machine: machine('pi', { standby: { free_bytes: 0, copying } }) };
    shown = mount(MachineCard, { target: document.body, props });
    expect(text()).toMatch(/layers 0–3.*layers 0–3.*1 B of 4 B.*2 B of 4 B/s);
  });

  test('machines of one name', () => {
    const links = [1, 2].map((rate) => ({ node: 'pi', latency_seconds: rate, bytes_per_second: 1 }));
    fleet.machines = [machine('head', { links })];
    shown = mount(LinkTable, { target: document.body });
    expect(text()).toMatch(/pi.*1\.00 s.*pi.*2\.00 s/s);
  });

  test('machines of one name that wait, and that fetch', async () => {
    fleet.waiting = [1, 2].map((requests) => ({ model: 'vectors', node: 'pi', requests, detail: 'no machine' }));
    shown = mount(PlacementCard, { target: document.body, props: { placement: copy(1) } });
    expect(text()).toMatch(/1 answer\s+waits at pi.*2 answers\s+wait at pi/s);
    await unmount(shown);
    const machines = [1, 2].map((done_bytes) => ({ name: 'pi', done_bytes, total_bytes: 4 }));
    shown = mount(MachineMeters, { target: document.body, props: { machines } });
    expect(text()).toMatch(/1 B of 4 B.*2 B of 4 B/s);
  });

  test('one model at two revisions', () => {
    const pull = { model: 'org/name', done_bytes: 1, total_bytes: 2, bytes_per_second: 0 };
    pulls.all = [
      { ...pull, revision: 'main' },
      { ...pull, revision: 'v2' },
    ];
    shown = mount(UnderWay, { target: document.body });
    expect(text()).toMatch(/org\/name .*org\/name at v2/s);
  });

  test('what a plan says', async () => {
    const member = { node: 'pi', share: 1, weight_bytes: 1, kv_bytes: 0, compute_bytes: 0, offered_bytes: 2 };
    const stage: PlannedStage = {
      node: 'pi',
      layers: [0, 4],
      is_head: true,
      mode: 'pipeline',
      members: [member],
      reason: 'why',
    };
    const left = { node: 'pi', reason: 'left' };
    const plan: Plan = {
      model: 'vectors',
      summary: 'on pi',
      context_tokens: 1,
      sequences: 1,
      stages: [stage],
      copies: [stage],
      left_out: [left, left],
      notes: ['note', 'note'],
    };
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(plan))));
    shown = mount(PlanPreview, { target: document.body, props: { model: 'vectors', is_away: true } });
    await vi.waitFor(() => expect(text()).toContain('It fits.'), 2_000);
    expect(document.querySelectorAll('.holders li')).toHaveLength(2);
    expect(text()).toMatch(/left.*left.*why.*note.*note/s);
  });
});
