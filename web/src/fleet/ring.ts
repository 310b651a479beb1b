// Where a ring's stages lie on a circle: each as long as its layers, in the order in which tokens pass them. Pure.

export interface Arc {
  path: string; // of the arc's middle line
  label: { x: number; y: number };
}

export interface RingShape {
  centre: number;
  radius: number;
}

const gap_degrees = 5;
const degrees_min = 16; // a stage of one layer among a hundred is still seen

// Degrees for each stage, so that all of them and the gaps between make a circle.
export function spans(layers: number[]): number[] {
  const free = 360 - gap_degrees * (layers.length > 1 ? layers.length : 0);
  const total = layers.reduce((sum, count) => sum + count, 0);
  if (total === 0 || layers.length === 0) return layers.map(() => free / layers.length);
  const raised = layers.map((count) => Math.max((free * count) / total, Math.min(degrees_min, free / layers.length)));
  const excess = raised.reduce((sum, span) => sum + span, 0) - free;
  const room = raised.map((span) => Math.max(0, span - degrees_min));
  const all_room = room.reduce((sum, span) => sum + span, 0);
  return raised.map((span, at) => span - (all_room > 0 ? (excess * (room[at] ?? 0)) / all_room : 0));
}

// 0 degrees is at the top; tokens go clockwise.
function point({ centre }: RingShape, radius: number, degrees: number): { x: number; y: number } {
  const radians = ((degrees - 90) * Math.PI) / 180;
  const round = (value: number) => Math.round(value * 100) / 100;
  return { x: round(centre + radius * Math.cos(radians)), y: round(centre + radius * Math.sin(radians)) };
}

function path(shape: RingShape, radius: number, from: number, to: number): string {
  if (to - from >= 359.9) {
    const top = point(shape, radius, 0);
    const bottom = point(shape, radius, 180);
    const half = `A${radius} ${radius} 0 1 1`;
    return `M${top.x} ${top.y}${half} ${bottom.x} ${bottom.y}${half} ${top.x} ${top.y}`;
  }
  const start = point(shape, radius, from);
  const end = point(shape, radius, to);
  return `M${start.x} ${start.y}A${radius} ${radius} 0 ${to - from > 180 ? 1 : 0} 1 ${end.x} ${end.y}`;
}

// For each stage one arc for each of its machines, side by side from the outside in.
export function ring_arcs(stages: { layers: number; machines: number }[], shape: RingShape, width: number): Arc[][] {
  const lengths = spans(stages.map((stage) => stage.layers));
  let at = stages.length > 1 ? gap_degrees / 2 : 0;
  return stages.map(({ machines }, index) => {
    const from = at;
    const to = at + (lengths[index] ?? 0);
    at = to + gap_degrees;
    const lane = width / machines;
    return Array.from({ length: machines }, (_, lane_index) => {
      const radius = shape.radius + width / 2 - lane * (lane_index + 0.5);
      return { path: path(shape, radius, from, to), label: point(shape, radius, (from + to) / 2) };
    });
  });
}

// A lap on the screen, in seconds: quicker where tokens are, and never too quick to be followed.
export function lap_seconds(tokens_per_second: number): number {
  return Math.min(8, Math.max(0.9, 5 / Math.sqrt(tokens_per_second)));
}
