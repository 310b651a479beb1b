// What keys mean in a field where a person writes.

// A phone shows its keyboard when a field has the focus. Enter begins a line there: no other key does.
export const has_keyboard = !matchMedia('(pointer: coarse)').matches;

// Where the button that was pressed goes away, keys go on at the question.
export function go_on_at_question(): void {
  if (has_keyboard) document.getElementById('question')?.focus();
}

// While a word of Chinese, Japanese or Korean is put together, Enter and Esc belong to that. Safari tells of its end
// before it tells of the key that ended it; the old number of the key still says so.
export function is_composing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

export function is_sending(event: KeyboardEvent): boolean {
  return event.key === 'Enter' && has_keyboard && !event.shiftKey && !is_composing(event);
}
