// What happened in the fleet, found by comparing two looks at it. A node tells how things are; people ask what changed.

import type { Cluster, Machine, Placement } from '../api/answers';
import { layer_range } from '../text/format';

export type Tone = 'good' | 'bad' | 'neutral';

export interface Happening {
  at: number;
  tone: Tone;
  text: string;
}

export interface Look {
  machines: Machine[];
  placements: Placement[];
  waiting: Cluster['waiting'];
}

type Told = Omit<Happening, 'at'>;

export function happened(before: Look, after: Look): Told[] {
  return [
    ...machines_changed(before.machines, after.machines),
    ...placements_changed(before.placements, after.placements),
    ...waiting_changed(before.waiting, after.waiting),
  ];
}

const belongs = (machine: Machine) => machine.state === 'joined' || machine.state === 'self';

function machines_changed(before: Machine[], after: Machine[]): Told[] {
  const told: Told[] = [];
  const old = new Map(before.map((machine) => [machine.id, machine]));
  for (const machine of after) {
    const was = old.get(machine.id);
    old.delete(machine.id);
    told.push(...(was ? machine_changed(was, machine) : [appeared(machine)]));
  }
  for (const gone of old.values()) told.push({ tone: 'bad', text: `${gone.name} is gone` });
  return told;
}

function appeared(machine: Machine): Told {
  return belongs(machine)
    ? { tone: 'good', text: `${machine.name} joined` }
    : { tone: 'neutral', text: `${machine.name} was seen` };
}

function machine_changed(was: Machine, is: Machine): Told[] {
  const told: Told[] = [];
  if (was.state !== is.state) told.push(state_changed(was, is));
  if (was.on_battery !== is.on_battery) {
    told.push({ tone: 'neutral', text: `${is.name} runs on ${is.on_battery ? 'battery' : 'mains'}` });
  }
  const under_way = new Set(is.standby.copying.map((copy) => copy.model));
  const begun = new Set(was.standby.copying.map((copy) => copy.model));
  for (const model of under_way) {
    if (!begun.has(model)) told.push({ tone: 'neutral', text: `${is.name} began a standby copy of ${model}` });
  }
  for (const model of begun) {
    if (under_way.has(model)) continue;
    const whole = is.models.some((each) => each.name === model && each.complete);
    if (whole) told.push({ tone: 'good', text: `${is.name} has a standby copy of ${model}` });
  }
  return told;
}

function state_changed(was: Machine, is: Machine): Told {
  const why = is.reason ? `: ${is.reason}` : '';
  if (is.state === 'suspect') return { tone: 'bad', text: `${is.name} does not answer${why}` };
  if (is.state === 'seen') return { tone: 'bad', text: `${is.name} is seen, but no member${why}` };
  if (was.state === 'suspect') return { tone: 'good', text: `${is.name} answers again` };
  return { tone: 'good', text: `${is.name} joined` };
}

// A placement is told from one that replaced it by its epoch.
const key_of = (placement: Placement) => `${placement.model} ${placement.incarnation}.${placement.epoch}`;

function where(placement: Placement): string {
  return placement.stages.map((stage) => `${stage.nodes.join(' + ')} (layers ${layer_range(stage.layers)})`).join(', ');
}

function placements_changed(before: Placement[], after: Placement[]): Told[] {
  const told: Told[] = [];
  const old = new Map(before.map((placement) => [key_of(placement), placement]));
  for (const placement of after) {
    const was = old.get(key_of(placement));
    old.delete(key_of(placement));
    if (was?.state !== placement.state) told.push(placement_state(placement));
    if (placement.detail && was?.detail !== placement.detail) {
      told.push({ tone: 'neutral', text: `${placement.model}: ${placement.detail}` });
    }
  }
  for (const gone of old.values()) told.push(lost_or_unloaded(gone));
  return told;
}

function placement_state(placement: Placement): Told {
  const { model, state } = placement;
  if (state === 'ready') return { tone: 'good', text: `${model} is ready on ${where(placement)}` };
  if (state === 'failed') return { tone: 'bad', text: `${model} failed` };
  return { tone: 'neutral', text: `${model} is ${state}` };
}

function lost_or_unloaded({ model, state }: Placement): Told {
  return state === 'unloading' || state === 'ready'
    ? { tone: 'neutral', text: `${model} is no longer loaded there` }
    : { tone: 'bad', text: `${model} was given up` };
}

function waiting_changed(before: Cluster['waiting'], after: Cluster['waiting']): Told[] {
  const told: Told[] = [];
  const key = (each: Cluster['waiting'][number]) => `${each.model} ${each.node}`;
  const old = new Map(before.map((each) => [key(each), each]));
  for (const each of after) {
    if (old.get(key(each))?.detail !== each.detail) {
      told.push({ tone: 'bad', text: `Answers of ${each.model} wait at ${each.node}: ${each.detail}` });
    }
    old.delete(key(each));
  }
  for (const each of old.values()) told.push({ tone: 'good', text: `Answers of ${each.model} go on at ${each.node}` });
  return told;
}
