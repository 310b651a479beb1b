// What a node answers, as docs/api.md has it. Fields that may be missing are optional.

export interface ModelEntry {
  id: string;
  state: string; // "on disk", or that of its placement
  file_bytes?: number;
  context_tokens?: number;
  max_model_len?: number;
}

export interface ModelFacts {
  name: string;
  architecture: string;
  layers: number;
  embedding_length: number;
  vocabulary: number;
  context_length: number;
  file_bytes: number;
  weight_bytes: number;
  complete: boolean;
  capabilities?: string[]; // tools, thinking: what its chat template knows; embedding: it only makes vectors
}

export interface Link {
  node: string;
  latency_seconds: number;
  bytes_per_second: number;
  interface?: string;
}

export interface Copying {
  model: string;
  done_bytes: number;
  total_bytes: number;
}

export interface Machine {
  id: string;
  name: string;
  state: string; // self, joined, suspect, seen
  version: string;
  reason?: string;
  host?: string;
  memory_bytes: number;
  memory_free_bytes: number;
  on_battery: boolean;
  battery_percent?: number;
  keeps_awake?: boolean;
  devices: { kind: string; description: string; threads: number; memory_bytes: number }[];
  rates?: { memory_bytes_per_second: number };
  links?: Link[];
  models: { name: string; file_bytes: number; complete: boolean }[];
  standby: { free_bytes: number; copying: Copying[] };
}

export interface Stage {
  nodes: string[];
  layers: [first: number, end: number];
  mode: string;
  weight_bytes: number;
  kv_bytes: number;
  compute_bytes: number;
}

export interface Prediction {
  tokens_per_second: number;
  token_seconds: number;
  prompt_seconds: number;
  prompt_tokens: number;
}

export interface StageStats {
  steps: number;
  rows: number;
  compute_seconds: number;
  wait_seconds: number;
  exchange_seconds: number;
}

export interface PlacementStats {
  tokens: number;
  running: number;
  queued: number;
  bytes_per_token?: number;
  messages_per_token?: number;
  stages: StageStats[];
  measured?: { tokens_per_second: number; token_seconds: number };
}

export interface Placement {
  model: string;
  state: string; // loading, ready, failed, unloading
  epoch: number;
  incarnation: number;
  context_tokens: number;
  sequences: number;
  stages: Stage[];
  on_disk_of: string[];
  embeds?: boolean; // it makes vectors
  detail?: string;
  predicted?: Prediction;
  stats?: PlacementStats;
}

export interface Waiting {
  model: string;
  node: string;
  requests: number;
  detail: string;
}

export interface Cluster {
  nodes: Machine[];
  placements: Placement[];
  waiting: Waiting[];
}

export interface PlannedStage {
  node: string;
  layers: [first: number, end: number];
  is_head: boolean;
  mode: string;
  members: {
    node: string;
    share: number;
    weight_bytes: number;
    kv_bytes: number;
    compute_bytes: number;
    offered_bytes: number;
  }[];
  reason: string;
  token_seconds?: number;
}

export interface Plan {
  model: string;
  summary: string;
  context_tokens: number;
  sequences: number;
  stages: PlannedStage[];
  copies?: PlannedStage[]; // of a model that makes vectors: the machines that hold all of it as well
  left_out: { node: string; reason: string }[];
  notes: string[];
  predicted?: Prediction;
}

export interface Members {
  cluster: string | null;
  trust: string; // certificate, --trust-lan, --cluster-secret
  membership_ends: string | null;
  members: { name: string; id: string; state: string; may_sign: boolean }[];
  waiting: { name: string; host: string; code: string }[];
}

export interface Token {
  id: string;
  ends: string;
  uses: number;
  used: number;
  made_by: string | null;
}

// How far one machine is with what it fetches.
export interface MachineBytes {
  name: string;
  done_bytes: number;
  total_bytes: number;
}

export interface LoadProgress {
  text: string;
  done_bytes: number;
  total_bytes: number;
  machines?: MachineBytes[]; // of a model that comes from a hub: each fetches its layers
}

export interface HubModel {
  name: string;
  repository: string;
  kind: string; // short, hub
  quants?: string[];
  size?: string; // of the download, about: short names have it
}

export interface HubModels {
  models: HubModel[];
  note?: string;
}

export interface PullProgress {
  done_bytes: number;
  total_bytes: number;
  bytes_per_second: number;
  machines?: MachineBytes[];
}

export interface Pulled {
  name: string;
  repository: string;
  commit: string;
  files: string[];
  bytes: number;
  fetched_bytes: number;
}

export interface PullUnderWay {
  model: string;
  revision: string;
  done_bytes: number;
  total_bytes: number;
  bytes_per_second: number;
}
