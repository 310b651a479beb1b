// A person with a browser. Whatever they do, nothing may be logged as an error or fetched from elsewhere.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe_source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

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
    await visitor.page.goto(url);
    return visitor;
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
