// A field as tall as its text, up to a third of the window.

export function grows_with_text(field: HTMLTextAreaElement, _text: string) {
  const fit = () => {
    field.style.height = 'auto';
    field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight / 3)}px`;
  };
  fit();
  return { update: fit };
}
