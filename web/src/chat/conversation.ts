// A conversation is a tree of turns: whoever edits a question or asks for another answer adds a sibling, and loses
// nothing. `chosen` says at each fork which way is shown. Pure; ids and times come from the caller.

export interface Attachment {
  name: string;
  text: string;
}

export interface AnswerFigures {
  tokens: number;
  prompt_tokens: number;
  cached_tokens: number;
  first_token_seconds: number;
  tokens_per_second: number | null; // of fewer than two tokens nothing can be said
}

// How an answer ended; absent while it is written.
export type Ending = 'whole' | 'length' | 'stopped' | 'failed' | 'cut';

export interface Turn {
  id: string;
  parent: string | null;
  role: 'user' | 'assistant';
  text: string;
  at: number;
  attachments?: Attachment[];
  model?: string;
  figures?: AnswerFigures;
  ending?: Ending;
  failure?: string;
}

export interface Settings {
  instructions: string; // the system prompt
  temperature: number | null; // null: as the node has it
  tokens_max: number | null;
}

export interface Conversation {
  id: string;
  title: string;
  changed_at: number;
  turns: Record<string, Turn>;
  order: string[]; // ids as they came
  chosen: Record<string, string>; // parent, or "" for the first turn → the child that is shown
  settings: Settings;
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

const title_characters_max = 60;

export function new_conversation(id: string, now: number, settings: Settings): Conversation {
  return { id, title: '', changed_at: now, turns: {}, order: [], chosen: {}, settings: { ...settings } };
}

export function add_turn(conversation: Conversation, turn: Turn): void {
  if (turn.parent !== null && !conversation.turns[turn.parent]) throw new Error(`no turn ${turn.parent} to answer`);
  conversation.turns[turn.id] = turn;
  conversation.order.push(turn.id);
  conversation.chosen[turn.parent ?? ''] = turn.id;
  conversation.changed_at = turn.at;
  if (!conversation.title && turn.role === 'user') conversation.title = title_of(turn);
}

function title_of(turn: Turn): string {
  const words = turn.text.replace(/\s+/g, ' ').trim() || (turn.attachments?.[0]?.name ?? 'Conversation');
  return words.length <= title_characters_max ? words : `${words.slice(0, title_characters_max - 1).trimEnd()}…`;
}

export function siblings(conversation: Conversation, turn: Turn): string[] {
  return conversation.order.filter((id) => conversation.turns[id]?.parent === turn.parent);
}

// The turns that are shown, first to last.
export function shown_turns(conversation: Conversation): Turn[] {
  const shown: Turn[] = [];
  for (let at = conversation.chosen['']; at !== undefined; at = conversation.chosen[at]) {
    const turn = conversation.turns[at];
    if (!turn) break;
    shown.push(turn);
  }
  return shown;
}

// Shows the sibling `steps` to the right; below it whatever was shown there last.
export function choose_sibling(conversation: Conversation, turn: Turn, steps: number): void {
  const ids = siblings(conversation, turn);
  const id = ids[ids.indexOf(turn.id) + steps];
  if (id !== undefined) conversation.chosen[turn.parent ?? ''] = id;
}

// What a model is asked so that it answers `turn`: the way from the first turn down to it.
export function messages_to(conversation: Conversation, turn: Turn): Message[] {
  const messages: Message[] = [];
  for (let at: Turn | undefined = turn; at; at = at.parent === null ? undefined : conversation.turns[at.parent]) {
    if (at.role === 'user' || at.text) messages.unshift({ role: at.role, content: content_of(at) });
  }
  const instructions = conversation.settings.instructions.trim();
  if (instructions) messages.unshift({ role: 'system', content: instructions });
  return messages;
}

// Files go before the question: models heed best what is asked last.
function content_of(turn: Turn): string {
  const files = (turn.attachments ?? []).map((file) => `File ${file.name}:\n\n${fenced(file.text)}\n\n`);
  return files.join('') + turn.text;
}

// A fence longer than any in the text, so that the text cannot end it.
function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

// A page that was closed while an answer came left a turn without an ending.
export function mark_cut(conversation: Conversation): void {
  for (const turn of Object.values(conversation.turns)) {
    if (turn.role === 'assistant' && !turn.ending) turn.ending = 'cut';
  }
}

// What another page of this browser added to the same conversation meanwhile stays in it: turns are only ever added, and
// only grow.
export function with_turns_of(kept: Conversation, ours: Conversation): Conversation {
  const turns = { ...ours.turns };
  for (const [id, turn] of Object.entries(kept.turns)) if (is_further(turn, ours.turns[id])) turns[id] = turn;
  const order = [...ours.order, ...kept.order.filter((id) => !ours.turns[id])];
  return { ...ours, turns, order, chosen: { ...kept.chosen, ...ours.chosen } };
}

// Who opens a conversation while another page writes an answer there sees a part of it, which seems cut.
function is_further(turn: Turn, other: Turn | undefined): boolean {
  if (!other) return true;
  if (turn.text.length !== other.text.length) return turn.text.length > other.text.length;
  return other.ending === 'cut';
}
