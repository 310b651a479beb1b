// TeX between dollars or \( \) and \[ \], read before Markdown sees the backslashes and underscores in it.

import type { TokenizerExtension, RendererExtension, Tokens } from 'marked';

type Extension = TokenizerExtension & RendererExtension;
type Render = (tex: string, display: boolean) => string;

const block = /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n|$)/;
const inline_display = /^(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])/;
// "costs $5 and $6" is no mathematics: no space inside the dollars, no letter or digit after them.
const inline = /^(?:\$(?![\s$])((?:\\[\s\S]|[^$\\\n])*?)(?<!\s)\$(?!\w)|\\\(([\s\S]+?)\\\))/;

function found_at(source: string, pattern: RegExp): number | undefined {
  const at = source.search(pattern);
  return at < 0 ? undefined : at;
}

function token(type: string, match: RegExpExecArray | null, display: boolean): Tokens.Generic | undefined {
  const tex = match?.[1] ?? match?.[2];
  return match && tex?.trim() ? { type, raw: match[0], tex: tex.trim(), display } : undefined;
}

export function math_extensions(render: Render): Extension[] {
  const renderer = (found: Tokens.Generic) => render(String(found['tex']), Boolean(found['display']));
  return [
    {
      name: 'math_block',
      level: 'block',
      start: (source) => found_at(source, /(?<=\n)(?:\$\$|\\\[)/), // it ends a paragraph only on a line of its own
      tokenizer: (source) => token('math_block', block.exec(source), true),
      renderer,
    },
    {
      name: 'math',
      level: 'inline',
      start: (source) => found_at(source, /\$|\\[([]/),
      tokenizer: (source) =>
        token('math', inline_display.exec(source), true) ?? token('math', inline.exec(source), false),
      renderer,
    },
  ];
}
