// A person with a browser. Whatever they do, nothing may be logged as an error or fetched from elsewhere.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe_source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// What a hub might answer.
export const short_names = [
  { name: 'smollm2-135m', repository: 'bartowski/SmolLM2-135M-Instruct-GGUF', kind: 'short', quants: ['Q4_K_M'] },
  { name: 'qwen3-4b', repository: 'Qwen/Qwen3-4B-GGUF', kind: 'short', quants: ['Q4_K_M', 'Q5_K_M', 'Q6_K', 'Q8_0'] },
  {
    name: 'a-house-with-a-long-name/A-Model-With-A-Very-Long-Name-Instruct-2607-v1.5-i1-GGUF',
    repository: 'a-house-with-a-long-name/A-Model-With-A-Very-Long-Name-Instruct-2607-v1.5-i1-GGUF',
    kind: 'hub',
  },
];

export class Visitor {
  static async come(browser, url, { width = 1280, height = 800, dark = false, settings = {} } = {}) {
    const visitor = new Visitor();
    visitor.url = url;
    visitor.troubles = [];
    visitor.context = await browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? 'dark' : 'light',
      hasTouch: width < 500,
      reducedMotion: 'reduce', // colours are what they are, not on their way: axe looks at them
    });
    await visitor.context.addInitScript(
      (kept) => {
        if (!localStorage.getItem('flotilla.settings')) localStorage.setItem('flotilla.settings', kept);
      },
      JSON.stringify({ temperature: 0, tokens_max: 16, ...settings }),
    );
    visitor.page = await visitor.context.newPage();
    visitor.page.setDefaultTimeout(90_000);
    visitor.watch();
    await visitor.#stand_in();
    await visitor.page.goto(url);
    return visitor;
  }

  // A node that was built without its way to a hub: the page asks for what is not there, and is told so quietly here,
  // because a browser logs every 404 as an error.
  async #stand_in() {
    if ((await fetch(new URL('pulls', this.url))).status !== 404) return;
    await this.page.route('**/pulls', (route) => route.fulfill({ json: { pulls: [] } }));
    await this.page.route('**/hub/models?*', (route) => route.fulfill({ json: { models: short_names } }));
  }

  watch() {
    this.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.troubles.push(`console: ${message.text()}`);
    });
    this.page.on('pageerror', (error) => this.troubles.push(`error: ${error.message}`));
    this.page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      if (['data:', 'blob:'].includes(protocol) || origin === new URL(this.url).origin) return;
      this.troubles.push(`asked elsewhere: ${request.url()}`);
    });
  }

  async go(view) {
    await this.page.goto(`${this.url}#/${view}`);
  }

  async ask(question) {
    await this.page.getByLabel('Question', { exact: true }).fill(question);
    await this.page.keyboard.press('Enter');
  }

  answers() {
    return this.page.getByRole('article', { name: /^Answer/ });
  }

  async answered() {
    const last = this.answers().last();
    await last.getByRole('button', { name: 'Another answer' }).waitFor();
    return (await last.locator('.text').first().innerText()).trim();
  }

  // What axe finds. Its script is run from outside the page: the page's own policy would refuse it.
  async accessible(where) {
    await this.page.evaluate(`${axe_source}; undefined`);
    const found = await this.page.evaluate(() =>
      globalThis.axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      }),
    );
    const told = found.violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`,
    );
    assert.deepEqual(told, [], `axe, ${where}`);
  }

  async fits(where) {
    const { scroll, client } = await this.page.evaluate(() => {
      const places = [document.documentElement, document.querySelector('main')];
      return { scroll: Math.max(...places.map((each) => each.scrollWidth - each.clientWidth)), client: 0 };
    });
    assert.ok(scroll <= client, `${where}: ${scroll} pixels stick out`);
  }

  // expected: troubles that the test itself made.
  async leave(...expected) {
    await this.context.close();
    const unexpected = this.troubles.filter((trouble) => !expected.some((pattern) => pattern.test(trouble)));
    assert.deepEqual(unexpected, [], 'a console without errors, and no request to another host');
  }
}
