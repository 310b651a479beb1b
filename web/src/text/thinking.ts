// Models that think aloud do so between <think> and </think>, before they answer.

export interface Parts {
  thinking: string | null;
  answer: string;
  thinks_still: boolean;
}

const opening = '<think>';
const closing = '</think>';

export function split_thinking(text: string): Parts {
  const start = text.trimStart();
  if (!start.startsWith(opening)) return { thinking: null, answer: text, thinks_still: false };
  const end = start.indexOf(closing);
  if (end < 0) return { thinking: start.slice(opening.length).trim(), answer: '', thinks_still: true };
  const thinking = start.slice(opening.length, end).trim();
  return { thinking: thinking || null, answer: start.slice(end + closing.length).trimStart(), thinks_still: false };
}

// Joins what a node sends apart to one text that split_thinking() takes apart again.
export class Joiner {
  private thinks = false;

  thought(piece: string): string {
    if (this.thinks) return piece;
    this.thinks = true;
    return opening + piece;
  }

  said(piece: string): string {
    if (!this.thinks) return piece;
    this.thinks = false;
    return closing + '\n\n' + piece;
  }
}
