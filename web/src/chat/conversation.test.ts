import { describe, expect, test } from 'vitest';
import {
  add_turn,
  choose_sibling,
  mark_cut,
  messages_to,
  new_conversation,
  shown_turns,
  siblings,
  with_turns_of,
  type Conversation,
  type Turn,
} from './conversation';

const plain = { instructions: '', temperature: null, tokens_max: null };

function turn(id: string, parent: string | null, role: Turn['role'], text = id): Turn {
  return { id, parent, role, text, at: 1 };
}

// q1 → a1 → q2 → a2
function talk(): Conversation {
  const conversation = new_conversation('c', 0, plain);
  add_turn(conversation, turn('q1', null, 'user'));
  add_turn(conversation, turn('a1', 'q1', 'assistant'));
  add_turn(conversation, turn('q2', 'a1', 'user'));
  add_turn(conversation, turn('a2', 'q2', 'assistant'));
  return conversation;
}

const shown = (conversation: Conversation) => shown_turns(conversation).map(({ id }) => id);

describe('a conversation', () => {
  test('shows its turns in order and is called after the first question', () => {
    expect(shown(talk())).toEqual(['q1', 'a1', 'q2', 'a2']);
    expect(talk().title).toBe('q1');
  });

  test('an edited question is a sibling that hides what followed the old one, and keeps it', () => {
    const conversation = talk();
    add_turn(conversation, turn('q1b', null, 'user'));
    expect(shown(conversation)).toEqual(['q1b']);
    choose_sibling(conversation, conversation.turns['q1b']!, -1);
    expect(shown(conversation)).toEqual(['q1', 'a1', 'q2', 'a2']);
  });

  test('another answer is a sibling of the first', () => {
    const conversation = talk();
    add_turn(conversation, turn('a2b', 'q2', 'assistant'));
    expect(siblings(conversation, conversation.turns['a2']!)).toEqual(['a2', 'a2b']);
    expect(shown(conversation)).toEqual(['q1', 'a1', 'q2', 'a2b']);
  });

  test('there is nothing beyond the first and the last sibling', () => {
    const conversation = talk();
    choose_sibling(conversation, conversation.turns['a2']!, 1);
    choose_sibling(conversation, conversation.turns['a2']!, -1);
    expect(shown(conversation)).toEqual(['q1', 'a1', 'q2', 'a2']);
  });

  test('asks with the way down to the question only, instructions first', () => {
    const conversation = talk();
    conversation.settings.instructions = ' Be brief. ';
    add_turn(conversation, turn('a1b', 'q1', 'assistant'));
    add_turn(conversation, turn('q3', 'a1b', 'user'));
    expect(messages_to(conversation, conversation.turns['q3']!)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'q1' },
      { role: 'assistant', content: 'a1b' },
      { role: 'user', content: 'q3' },
    ]);
  });

  test('files stand before the question, in a fence their text cannot end', () => {
    const conversation = new_conversation('c', 0, plain);
    add_turn(conversation, { ...turn('q', null, 'user', 'Why?'), attachments: [{ name: 'a.md', text: '````\nx' }] });
    expect(messages_to(conversation, conversation.turns['q']!)[0]?.content).toBe(
      'File a.md:\n\n`````\n````\nx\n`````\n\nWhy?',
    );
  });

  test('an answer that was under way when the page was closed counts as cut', () => {
    const conversation = talk();
    conversation.turns['a1']!.ending = 'whole';
    mark_cut(conversation);
    expect(conversation.turns['a1']?.ending).toBe('whole');
    expect(conversation.turns['a2']?.ending).toBe('cut');
    expect(conversation.turns['q1']?.ending).toBeUndefined();
  });

  test('a turn without its parent is refused', () => {
    expect(() => add_turn(talk(), turn('x', 'nobody', 'user'))).toThrow('nobody');
  });
});

describe('a conversation in two pages', () => {
  const grown = (text: string, ending?: Turn['ending']): Conversation => {
    const conversation = talk();
    Object.assign(conversation.turns['a2']!, ending ? { text, ending } : { text });
    return conversation;
  };
  const answer = (kept: Conversation, ours: Conversation) => {
    const { text, ending } = with_turns_of(kept, ours).turns['a2']!;
    return [text, ending];
  };

  test('keeps what both added and shows what ours chose', () => {
    const [kept, ours] = [talk(), talk()];
    add_turn(kept, turn('theirs', 'a2', 'user'));
    add_turn(ours, turn('ours', 'a2', 'user'));
    const both = with_turns_of(kept, ours);
    expect(both.order).toEqual(['q1', 'a1', 'q2', 'a2', 'ours', 'theirs']);
    expect(shown(both).at(-1)).toBe('ours');
    choose_sibling(both, both.turns['ours']!, 1);
    expect(shown(both).at(-1)).toBe('theirs');
  });

  test('keeps the longer of two states of an answer', () => {
    expect(answer(grown('half', 'cut'), grown('half and whole', 'whole'))).toEqual(['half and whole', 'whole']);
    expect(answer(grown('half and whole', 'whole'), grown('half', 'cut'))).toEqual(['half and whole', 'whole']);
  });

  test('does not believe that an answer was cut which another page still writes', () => {
    expect(answer(grown('half'), grown('half', 'cut'))).toEqual(['half', undefined]);
    expect(answer(grown('all'), grown('all', 'whole'))).toEqual(['all', 'whole']);
  });
});
