// Markdown → safe HTML, block by block: while an answer grows only its last block is made anew.
//
// HTML that a model writes is shown as text. Pictures become links: fetching them would tell their host what was read.

import { Marked, type Links, type Token, type Tokens } from 'marked';
import { math_extensions } from './math_syntax';
import { sanitize } from './sanitize';

// What is fetched only once a text needs it.
export interface Tools {
  highlight?: (code: string, language: string) => string | null; // safe HTML, or null: not such a language
  math?: (tex: string, display: boolean) => string | null; // safe MathML, or null: not TeX
}

export interface Block {
  key: string;
  html: string;
}

const blocks_kept_max = 2_000; // rendered blocks that are remembered

export function escape_html(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export class MarkdownRenderer {
  readonly #marked: Marked;
  readonly #known = new Map<string, string>();
  #math: string[] = []; // MathML made for the block at hand; it does not pass the gate for HTML but its own

  constructor(private readonly tools: Tools = {}) {
    this.#marked = new Marked({ gfm: true, breaks: true, async: false });
    this.#marked.use({
      extensions: math_extensions((tex, display) => this.#math_html(tex, display)),
      renderer: {
        html: ({ text }) => escape_html(text),
        image: ({ href, text }) => link_html(href, `picture: ${escape_html(text || href)}`),
        link({ href, tokens }) {
          return link_html(href, this.parser.parseInline(tokens));
        },
        code: (token) => this.#code_html(token),
      },
    });
  }

  render(text: string): Block[] {
    const tokens = this.#marked.lexer(text);
    const definitions = JSON.stringify(tokens.links);
    const blocks: Block[] = [];
    for (const token of tokens) {
      if (token.type === 'space' || token.type === 'def') continue;
      blocks.push({ key: `${blocks.length}:${token.type}`, html: this.#block(token, tokens.links, definitions) });
    }
    return blocks;
  }

  // What "[words][1]" becomes is defined elsewhere in its text: only with the same definitions is it the same block.
  #block(token: Token, links: Links, definitions: string): string {
    const key = `${token.raw}\0${definitions}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#math = [];
    const html = this.#with_math(sanitize(this.#marked.parser(Object.assign([token], { links }))));
    if (this.#known.size >= blocks_kept_max) this.#known.clear();
    this.#known.set(key, html);
    return html;
  }

  // Mathematics passes the gate for HTML as a mark, and is put in place behind it.
  #math_html(tex: string, display: boolean): string {
    const made = this.tools.math?.(tex, display) ?? null;
    const kind = display ? 'math display' : 'math';
    if (made === null) return `<span class="${kind}"><code>${escape_html(tex)}</code></span>`;
    return `<span class="${kind}"><code class="math-${this.#math.push(made) - 1}"></code></span>`;
  }

  #with_math(html: string): string {
    return html.replace(/<code class="math-(\d+)"><\/code>/g, (mark, at: string) => this.#math[Number(at)] ?? mark);
  }

  #code_html({ text, lang }: Tokens.Code): string {
    const language = /^[\w+#.-]+/.exec(lang ?? '')?.[0]?.toLowerCase() ?? '';
    const code = this.tools.highlight?.(text, language) ?? escape_html(text);
    const name = escape_html(language || 'text');
    return (
      `<div class="code"><div class="code-bar"><span>${name}</span>` +
      `<button type="button" class="code-copy">Copy</button></div>` +
      `<pre tabindex="0" role="group" aria-label="${name} code"><code>${code}\n</code></pre></div>`
    );
  }
}

function link_html(href: string, inner: string): string {
  if (!/^(https?:|mailto:)/i.test(href)) return inner;
  return `<a href="${escape_html(href)}" target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`;
}
