// TeX → MathML, which browsers draw by themselves: no fonts to fetch, no styles that the page's policy would refuse.

import katex from 'katex';
import { sanitize_math } from './sanitize';

export function tex_to_mathml(tex: string, display: boolean): string | null {
  try {
    const made = katex.renderToString(tex, {
      displayMode: display,
      output: 'mathml',
      throwOnError: true,
      strict: 'ignore',
      trust: false,
      maxExpand: 300,
      maxSize: 20,
    });
    return sanitize_math(made.replace(/ style="[^"]*"/g, ''));
  } catch {
    return null; // not TeX, or not yet: an answer that still grows
  }
}
