// The last gate before a browser reads a string as HTML. What a model writes is hostile until it has passed here.

import DOMPurify from 'dompurify';

const tags = [
  'a',
  'blockquote',
  'br',
  'button',
  'code',
  'del',
  'div',
  'em',
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'hr',
  'input',
  'li',
  'ol',
  'p',
  'pre',
  'span',
  'strong',
  'table',
  'tbody',
  'td',
  'th',
  'thead',
  'tr',
  'ul',
  'kbd',
  'sub',
  'sup',
];
const attributes = [
  'align',
  'aria-label',
  'checked',
  'class',
  'disabled',
  'href',
  'rel',
  'start',
  'tabindex',
  'target',
  'title',
  'type',
  'role',
];

export function sanitize(html: string): string {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: tags,
    ALLOWED_ATTR: attributes,
    ALLOW_DATA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    ADD_URI_SAFE_ATTR: attributes.filter((name) => name !== 'href'),
  });
}

export function sanitize_math(html: string): string {
  return DOMPurify.sanitize(html, {
    USE_PROFILES: { mathMl: true },
    ADD_TAGS: ['span', 'semantics', 'annotation'],
    ADD_ATTR: ['encoding'],
    FORBID_ATTR: ['style', 'href', 'xlink:href'],
    ALLOW_DATA_ATTR: false,
  });
}
