// Looks at the fleet again and again while somebody looks at the page, and keeps what was seen for all views.

import type { Cluster, Machine, ModelEntry, Placement, Waiting } from '../api/answers';
import { ApiError, message_of } from '../api/api_error';
import { get } from '../api/client';
import { happened, type Happening, type Look } from './happening';

const pause_busy_ms = 1_000; // as often as a head tells its figures
const pause_idle_ms = 4_000;
const happenings_max = 200;
const place = 'flotilla.happenings';

function remembered(): Happening[] {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? '[]') as Happening[];
  } catch {
    return [];
  }
}

class FleetWatch {
  machines = $state.raw<Machine[]>([]);
  placements = $state.raw<Placement[]>([]);
  waiting = $state.raw<Waiting[]>([]);
  models = $state.raw<ModelEntry[]>([]);
  happenings = $state.raw<Happening[]>(remembered());
  rates = $state.raw<Record<string, number>>({}); // tokens a second now, of placements whose head has told
  has_looked = $state(false); // at least once with success
  is_reachable = $state(true);
  refused = $state<string | null>(null); // why the fleet may not be seen with this key
  models_refused = $state<string | null>(null);
  #watchers = 0; // views that want to see every second
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  #counts = new Map<string, { tokens: number; at: number }>();

  readonly is_busy = $derived(this.placements.some((placement) => (placement.stats?.running ?? 0) > 0));
  readonly members = $derived(this.machines.filter((machine) => machine.state !== 'seen'));
  readonly self = $derived(this.machines.find((machine) => machine.state === 'self'));

  start(): void {
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.look();
    });
    void this.look();
  }

  // While `wanted` is called for, every second counts. Returns how to end it.
  watch_closely(): () => void {
    ++this.#watchers;
    void this.look();
    return () => void --this.#watchers;
  }

  // Looks now; the first time a missing key is asked for.
  async look(): Promise<void> {
    if (this.#looking) return;
    const quietly = this.has_looked;
    this.#looking = true;
    clearTimeout(this.#timer);
    try {
      await this.#look_at_models(quietly);
      await this.#look_at_fleet(quietly);
      this.is_reachable = true;
      this.has_looked = true;
    } catch (error) {
      this.is_reachable = !(error instanceof ApiError && error.status === 0);
    }
    this.#looking = false;
    const pause = this.#watchers > 0 || this.is_busy ? pause_busy_ms : pause_idle_ms;
    if (!document.hidden) this.#timer = setTimeout(() => void this.look(), pause);
  }

  async #look_at_models(quietly: boolean): Promise<void> {
    try {
      this.models = (await get<{ data: ModelEntry[] }>('v1/models', { quietly })).data;
      this.models_refused = null;
    } catch (error) {
      this.models_refused = refusal(error);
    }
  }

  async #look_at_fleet(quietly: boolean): Promise<void> {
    try {
      const cluster = await get<Cluster>('cluster', { quietly });
      const { placements } = await get<{ placements: Placement[] }>('placements', { quietly });
      this.#take({ machines: cluster.nodes, placements, waiting: cluster.waiting });
      this.refused = null;
    } catch (error) {
      this.refused = refusal(error);
    }
  }

  #take(look: Look): void {
    const now = Date.now();
    if (this.machines.length > 0) {
      const before = { machines: this.machines, placements: this.placements, waiting: this.waiting };
      const told = happened(before, look).map((each) => ({ ...each, at: now }));
      if (told.length > 0) this.#remember(told);
    }
    this.machines = look.machines;
    this.placements = look.placements;
    this.waiting = look.waiting;
    this.#time_tokens(look.placements, now);
  }

  #remember(told: Happening[]): void {
    this.happenings = [...told.reverse(), ...this.happenings].slice(0, happenings_max);
    sessionStorage.setItem(place, JSON.stringify(this.happenings));
  }

  // Heads tell their counts once a second; a count that stands still for longer than that is no work.
  #time_tokens(placements: Placement[], now: number): void {
    const rates: Record<string, number> = {};
    for (const placement of placements) {
      const key = placement_key(placement);
      const tokens = placement.stats?.tokens ?? 0;
      const before = this.#counts.get(key);
      if (before && tokens > before.tokens) rates[key] = ((tokens - before.tokens) * 1000) / (now - before.at);
      else if (before && now - before.at < 2 * pause_busy_ms) rates[key] = this.rates[key] ?? 0;
      if (!before || tokens !== before.tokens || now - before.at > 4 * pause_busy_ms) {
        this.#counts.set(key, { tokens, at: now });
      }
    }
    this.rates = rates;
  }
}

export function placement_key(placement: Placement): string {
  return `${placement.model} ${placement.incarnation}.${placement.epoch}`;
}

// The machines that hold some of it, each once.
export function holders_of(placement: Placement): string[] {
  return [...new Set(placement.stages.flatMap(({ nodes }) => nodes))];
}

// A refusal is shown where the refused thing would be; that nobody answers is everybody's matter.
function refusal(error: unknown): string {
  if (error instanceof ApiError && error.status === 0) throw error;
  return message_of(error);
}

export const fleet = new FleetWatch();
