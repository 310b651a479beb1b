// The conversations of this browser: which one is shown, what is being answered, what is kept.

import { SvelteMap } from 'svelte/reactivity';
import { message_of } from '../api/api_error';
import { stream_answer, type Silence } from './answer_stream';
import {
  add_turn,
  choose_sibling,
  mark_cut,
  messages_to,
  new_conversation,
  shown_turns,
  type Attachment,
  type Conversation,
  type Settings,
  type Turn,
} from './conversation';
import { Shelf, type Head } from './shelf';
import { Stopwatch } from './stopwatch';

const settings_place = 'flotilla.settings';
const model_place = 'flotilla.model';
const opened_place = 'flotilla.opened';
const show_pause_ms = 40; // text is shown in such steps: quicker than eyes, slower than tokens
const save_pause_ms = 2_000;

const plain_settings: Settings = { instructions: '', temperature: null, tokens_max: null };

// An answer under way.
export interface Underway {
  conversation: string;
  silence: Silence | null;
  stop: () => void;
}

function new_id(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, '0')).join('');
}

function kept_settings(): Settings {
  try {
    return { ...plain_settings, ...(JSON.parse(localStorage.getItem(settings_place) ?? '{}') as Partial<Settings>) };
  } catch {
    return { ...plain_settings };
  }
}

class Chat {
  heads = $state.raw<Head[]>([]);
  current = $state(new_conversation(new_id(), 0, kept_settings()));
  model = $state(localStorage.getItem(model_place) ?? '');
  trouble = $state<string | null>(null); // why conversations are not kept
  draft = $state(''); // what is written but not sent; other views may be looked at meanwhile
  draft_files = $state.raw<Attachment[]>([]);
  readonly underway = new SvelteMap<string, Underway>(); // by the id of the turn
  readonly turns = $derived(shown_turns(this.current));
  readonly is_answering = $derived(this.turns.some((turn) => this.underway.has(turn.id)));
  readonly #shelf = new Shelf();
  readonly #removed = new Set<string>(); // an answer that was under way still wants to keep them
  readonly #live = new Map<string, Conversation>(); // those that are answered, also while another one is shown

  async start(): Promise<void> {
    await this.#keeping(async () => {
      this.heads = await this.#shelf.heads();
      const opened = sessionStorage.getItem(opened_place);
      if (opened) await this.open(opened);
    });
  }

  prefer_model(model: string): void {
    this.model = model;
    localStorage.setItem(model_place, model);
  }

  // Settings last: the next new conversation begins with them.
  set_settings(settings: Settings): void {
    this.current.settings = settings;
    localStorage.setItem(settings_place, JSON.stringify(settings));
    if (this.current.order.length > 0) void this.#save(this.current);
  }

  start_new(): void {
    this.current = new_conversation(new_id(), Date.now(), kept_settings());
    sessionStorage.removeItem(opened_place);
  }

  async open(id: string): Promise<void> {
    await this.#keeping(async () => {
      const found = this.#live.get(id) ?? (await this.#shelf.get(id));
      if (!found) return;
      if (!this.#live.has(id)) mark_cut(found);
      this.current = found;
      sessionStorage.setItem(opened_place, id);
    });
  }

  async remove(id: string): Promise<void> {
    this.#removed.add(id);
    for (const each of this.underway.values()) if (each.conversation === id) each.stop();
    this.#live.delete(id);
    this.heads = this.heads.filter((head) => head.id !== id);
    if (this.current.id === id) this.start_new();
    await this.#keeping(() => this.#shelf.remove(id));
  }

  send(text: string, attachments: Attachment[]): void {
    const parent = this.turns.at(-1)?.id ?? null;
    this.#ask(parent, text, attachments);
  }

  edit(turn: Turn, text: string): void {
    this.#ask(turn.parent, text, $state.snapshot(turn.attachments) ?? []);
  }

  regenerate(turn: Turn): void {
    const question = turn.parent === null ? undefined : this.current.turns[turn.parent];
    if (question) void this.#answer(this.current, question);
  }

  step_sibling(turn: Turn, steps: number): void {
    choose_sibling(this.current, turn, steps);
    void this.#save(this.current);
  }

  stop(): void {
    for (const turn of this.turns) this.underway.get(turn.id)?.stop();
  }

  #ask(parent: string | null, text: string, attachments: Attachment[]): void {
    const conversation = this.current;
    const turn: Turn = { id: new_id(), parent, role: 'user', text, at: Date.now() };
    if (attachments.length > 0) turn.attachments = attachments;
    add_turn(conversation, turn);
    sessionStorage.setItem(opened_place, conversation.id);
    void this.#answer(conversation, turn);
  }

  async #answer(conversation: Conversation, question: Turn): Promise<void> {
    const id = new_id();
    const model = this.model;
    add_turn(conversation, { id, parent: question.id, role: 'assistant', text: '', at: Date.now(), model });
    const turn = conversation.turns[id];
    if (!turn) return;
    const controller = new AbortController();
    this.underway.set(id, { conversation: conversation.id, silence: null, stop: () => controller.abort() });
    this.#live.set(conversation.id, conversation);
    const keeper = setInterval(() => void this.#save(conversation), save_pause_ms);
    void this.#save(conversation);
    await this.#stream(conversation, question, turn, controller.signal);
    clearInterval(keeper);
    this.underway.delete(id);
    if (![...this.underway.values()].some((each) => each.conversation === conversation.id)) {
      this.#live.delete(conversation.id);
    }
    await this.#save(conversation);
  }

  async #stream(conversation: Conversation, question: Turn, turn: Turn, signal: AbortSignal): Promise<void> {
    const { temperature, tokens_max } = conversation.settings;
    const watch = new Stopwatch(performance.now());
    const text = new TextBuffer((piece) => (turn.text += piece));
    try {
      const end = await stream_answer(
        { model: turn.model ?? '', messages: messages_to(conversation, question), temperature, tokens_max },
        signal,
        {
          on_text: (piece) => {
            watch.piece(performance.now());
            text.push(piece);
            this.#set_silence(turn.id, null);
          },
          on_silence: (silence) => this.#set_silence(turn.id, silence),
        },
      );
      const figures = watch.figures(end.usage);
      if (figures) turn.figures = figures;
      turn.ending = end.reason === 'length' ? 'length' : 'whole';
    } catch (error) {
      const figures = watch.figures(null);
      if (figures) turn.figures = figures;
      turn.ending = signal.aborted ? 'stopped' : 'failed';
      if (!signal.aborted) turn.failure = message_of(error);
    }
    text.flush();
  }

  #set_silence(id: string, silence: Silence | null): void {
    const underway = this.underway.get(id);
    if (underway && underway.silence !== silence) this.underway.set(id, { ...underway, silence });
  }

  async #save(conversation: Conversation): Promise<void> {
    if (this.#removed.has(conversation.id)) return;
    const whole = $state.snapshot(conversation);
    if (!this.heads.some(({ id }) => id === whole.id) && whole.order.length === 0) return;
    const { id, title, changed_at } = whole;
    this.heads = [{ id, title, changed_at }, ...this.heads.filter((head) => head.id !== id)].sort(
      (a, b) => b.changed_at - a.changed_at,
    );
    await this.#keeping(async () => {
      const gone = await this.#shelf.put(whole);
      if (gone.length > 0) this.heads = this.heads.filter((head) => !gone.includes(head.id));
    });
  }

  // A browser may keep nothing (a private window, a full disk): talking goes on, and it is said.
  async #keeping(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.trouble = null;
    } catch (error) {
      this.trouble = `This browser does not keep conversations: ${message_of(error)}`;
    }
  }
}

// Pieces of text, handed on a few times a second.
class TextBuffer {
  #pending = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly show: (piece: string) => void) {}

  push(piece: string): void {
    this.#pending += piece;
    this.#timer ??= setTimeout(() => this.flush(), show_pause_ms);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const piece = this.#pending;
    this.#pending = '';
    if (piece) this.show(piece);
  }
}

export const chat = new Chat();
