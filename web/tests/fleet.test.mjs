// The page beside more than one machine: one that joins by six digits, one that dies while it computes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './browser.mjs';
import { Node, can_run, model, until } from './nodes.mjs';
import { Visitor } from './visitor.mjs';

const skip = can_run ? false : 'needs a build and the model';

describe('the page of a fleet', { skip, timeout: 600_000 }, () => {
  let browser;

  before(async () => (browser = await launch()));
  after(() => browser?.close());

  async function with_nodes(start, act) {
    const nodes = await start();
    try {
      await act(...nodes);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  }

  const alone = async () => {
    const first = await Node.start('harbour', { has_model: true });
    return [first, await Node.start('pier', { arguments: ['--peer', `127.0.0.1:${first.cluster_port}`] })];
  };

  const together = async () => {
    const first = await Node.start('harbour', { has_model: true, arguments: ['--trust-lan'] });
    const peer = `127.0.0.1:${first.cluster_port}`;
    const second = await Node.start('pier', { arguments: ['--trust-lan', '--peer', peer] });
    await until(
      'both are one',
      async () => (await first.get('cluster')).nodes.filter(({ state }) => state === 'joined').length === 1,
    );
    return [first, second];
  };

  test('a machine that asks is let in by its six digits, and can be put out again', () =>
    with_nodes(alone, async (harbour, pier) => {
      const visitor = await Visitor.come(browser, `${harbour.page}#/members`);
      const { page } = visitor;
      await page.getByText(/No machine asks/).waitFor();
      const newcomer = await Visitor.come(browser, `${pier.page}#/members`);
      await newcomer.page.getByRole('button', { name: 'Join by six digits' }).click();
      const digits = newcomer.page.getByText(/^\d{3} \d{3}$/);
      const code = (await digits.innerText()).replace(' ', '');
      await newcomer.accessible('six digits of a newcomer');
      const guest = page.getByRole('article', { name: 'pier' });
      await guest.getByLabel(`Code ${[...code].join(' ')}`).waitFor();
      await visitor.accessible('a guest');
      await guest.getByRole('button', { name: 'Approve' }).click();
      await newcomer.page.getByRole('button', { name: 'It shows the same' }).click();
      await newcomer.page.getByText('Joined by harbour.').waitFor();
      await newcomer.leave();
      const row = page.getByRole('row', { name: /pier/ });
      await row.getByText('here').waitFor();

      await page.getByRole('button', { name: 'Make a token' }).click();
      await page.getByText(/flotilla serve --join \S{20,}/).waitFor();
      await page.getByText('0 of 20').waitFor();

      await row.getByRole('button', { name: 'Put out' }).click();
      await row.getByRole('button', { name: 'Put pier out?' }).click();
      await row.getByText('put out').waitFor();
      await visitor.leave();
    }));

  test('says of a machine that holds nothing of a model why', () =>
    with_nodes(together, async (harbour) => {
      const loaded = await harbour.post('load', { model, nodes: ['harbour'], context: 2048, sequences: 2 });
      assert.match(await loaded.text(), /"placement"/);
      const visitor = await Visitor.come(browser, `${harbour.page}#/fleet`);
      await visitor.page.getByText('Why not on pier?').click();
      await visitor.page.getByText(/^pier: \S.{20,}/).waitFor();
      await visitor.accessible('a fleet of which one machine computes');
      await visitor.leave();
    }));

  test('a machine dies while it computes: the view tells it, and the answer goes on', () =>
    with_nodes(together, async (harbour, pier) => {
      const planner = await Visitor.come(browser, `${harbour.page}#/models`, { width: 768 });
      await planner.page.getByRole('button', { name: 'Load…', exact: true }).click();
      await planner.page.getByText('It fits.').waitFor();
      await planner.page.getByLabel('Division').waitFor();
      await planner.fits('a preview with a choice of machines');
      await planner.leave();

      const loaded = await harbour.post('load', {
        model,
        nodes: ['harbour', 'pier'],
        layers: [18, 12],
        context: 2048,
        sequences: 2,
      });
      assert.match(await loaded.text(), /"placement"/);
      const visitor = await Visitor.come(browser, harbour.page, { settings: { tokens_max: 120 } });
      const { page } = visitor;
      await page.getByRole('link', { name: 'harbour → pier' }).waitFor();
      await visitor.ask('Write a long story about a ship and a storm.');
      const text = visitor.answers().last().locator('.text').first();
      await until('it has begun', async () => (await text.innerText()).length > 10);
      pier.kill();
      const before = (await text.innerText()).length;
      await visitor.go('fleet');
      const log = page.getByRole('log');
      await log
        .getByText(/pier (does not answer|is gone)/)
        .first()
        .waitFor();
      await log
        .getByText(/loaded again/)
        .first()
        .waitFor();
      await visitor.accessible('a fleet that lost a machine');
      await visitor.go('chat');
      await until('it goes on', async () => (await text.innerText()).length > before, 120);
      await visitor.answered();
      assert.equal(await page.getByRole('alert').count(), 0);
      await visitor.leave();
    }));
});
