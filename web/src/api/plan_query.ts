// What a person chose → what the planner is asked.

export interface LoadWishes {
  context?: number;
  sequences?: number;
  mode?: string;
  nodes?: string[];
}

export interface Choice {
  context: number | null; // null: as the planner has it
  sequences: number | null;
  mode: string; // auto, pipeline, tensor
  nodes: string[]; // none: as the planner has it
}

export const no_choice: Choice = { context: null, sequences: null, mode: 'auto', nodes: [] };

export function wishes_of(choice: Choice): LoadWishes {
  return {
    ...(choice.context === null ? {} : { context: choice.context }),
    ...(choice.sequences === null ? {} : { sequences: choice.sequences }),
    ...(choice.mode === 'auto' ? {} : { mode: choice.mode }),
    ...(choice.nodes.length === 0 ? {} : { nodes: choice.nodes }),
  };
}

export function plan_path(model: string, choice: Choice): string {
  const query = new URLSearchParams({ model });
  for (const [name, value] of Object.entries(wishes_of(choice))) query.set(name, String(value));
  return `plan?${query}`;
}
