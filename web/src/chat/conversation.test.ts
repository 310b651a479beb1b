import { describe, expect, test } from 'vitest';
import {
  add_turn,
  choose_sibling,
  mark_cut,
  messages_to,
  new_conversation,
  shown_turns,
  siblings,
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
