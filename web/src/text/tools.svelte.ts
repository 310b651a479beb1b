// Colours and mathematics, fetched when the first text that needs them is shown; texts are then made anew.

import { MarkdownRenderer, type Tools } from './markdown';

class TextTools {
  renderer = $state.raw(new MarkdownRenderer());
  #tools: Tools = {};
  #asked = new Set<string>();

  need_for(text: string): void {
    if (text.includes('```') || text.includes('~~~')) {
      this.#fetch('colours', async () => ({ highlight: (await import('./highlighting')).highlight }));
    }
    if (/\$|\\[([]/.test(text)) {
      this.#fetch('mathematics', async () => ({ math: (await import('./mathml')).tex_to_mathml }));
    }
  }

  // Where it cannot be fetched, texts stay plain and whoever comes next tries again.
  #fetch(what: string, fetch: () => Promise<Tools>): void {
    if (this.#asked.has(what)) return;
    this.#asked.add(what);
    fetch().then(
      (tools) => {
        this.#tools = { ...this.#tools, ...tools };
        this.renderer = new MarkdownRenderer(this.#tools);
      },
      () => this.#asked.delete(what),
    );
  }
}

export const text_tools = new TextTools();
