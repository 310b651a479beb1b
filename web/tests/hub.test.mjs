// The page and a hub: models are found, come with progress, are stopped, gone on with, deleted, loaded by their layers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './browser.mjs';
import { Hub } from './hub.mjs';
import { Node, can_run, model, model_file, until } from './nodes.mjs';
import { Visitor } from './visitor.mjs';

const repository = 'friends/SmolLM2-135M-Instruct-GGUF';
const reference = repository; // its only model

async function reason_to_skip() {
  if (!can_run) return 'needs a build and the model';
  const node = await Node.start('probe');
  const { status } = await fetch(`${node.url}/pulls`);
  await node.stop();
  return status === 404 ? 'this build has no way to a hub (GET /pulls answers 404)' : false;
}

describe('the page and a hub', { skip: await reason_to_skip(), timeout: 300_000 }, () => {
  let browser, hub;

  before(async () => {
    browser = await launch();
    hub = await Hub.start(repository, { [`${model}.gguf`]: model_file });
  });
  after(async () => {
    await browser?.close();
    await hub?.stop();
  });

  const find = async (page) => {
    const section = page.getByRole('region', { name: 'Get a model' });
    await section.getByRole('searchbox').fill('SmolLM2-135M');
    await section.getByRole('button', { name: 'Search' }).click();
    return section.getByRole('listitem', { name: repository });
  };

  test('a model is pulled with progress, stopped, gone on with, and deleted after a question', async () => {
    const node = await Node.start('harbour', { hub });
    try {
      await hub.set({ bytes_per_second: 12_000_000 });
      const visitor = await Visitor.come(browser, `${node.page}#/models`);
      const { page } = visitor;
      await page.getByText(/Get one below/).waitFor();
      const row = await find(page);
      await row.getByRole('button', { name: `Pull ${reference}` }).click();
      const card = page.getByRole('article', { name: `Pull of ${reference}` });
      await card.getByText(/MiB of \d\d\.\d MiB .*B\/s/).waitFor();
      await visitor.accessible('a pull under way');
      await page.reload(); // what a reload breaks off goes on by itself
      await card.getByText(/MiB of \d\d\.\d MiB .*B\/s/).waitFor();
      await card.getByRole('button', { name: 'Stop' }).click();
      await card.getByText(/Stopped\. .* are kept/).waitFor();
      await until('the node stops too', async () => (await node.get('pulls')).pulls.length === 0);

      await hub.set({ bytes_per_second: null });
      await card.getByRole('button', { name: 'Go on' }).click();
      await card.getByText(/^Here as .*were missing/).waitFor();
      const here = page.getByRole('article', { name: model, exact: true });
      await here.getByText('on disk').waitFor();

      await here.getByRole('button', { name: `Delete ${model}` }).click();
      const question = page.getByRole('dialog');
      await question.getByText(/This frees \d\d\.\d MiB on harbour/).waitFor();
      await visitor.accessible('the question before a file is deleted');
      await question.getByRole('button', { name: 'Keep it' }).click();
      await here.waitFor();
      await here.getByRole('button', { name: `Delete ${model}` }).click();
      await question.getByRole('button', { name: 'Delete' }).click();
      await page.getByText(/is deleted; \d\d\.\d MiB are free again/).waitFor();
      await here.waitFor({ state: 'detached' });
      assert.deepEqual((await node.get('v1/models')).data, []);
      await visitor.leave();
    } finally {
      await node.stop();
    }
  });

  test('a model that nobody has is loaded by ranges, and each machine tells how far it is', async () => {
    const first = await Node.start('harbour', { hub, arguments: ['--trust-lan'] });
    const peer = `127.0.0.1:${first.cluster_port}`;
    const second = await Node.start('pier', { hub, arguments: ['--trust-lan', '--peer', peer] });
    try {
      await until(
        'both are one',
        async () => (await first.get('cluster')).nodes.filter(({ state }) => state === 'joined').length === 1,
      );
      await hub.set({ bytes_per_second: 12_000_000 });
      const visitor = await Visitor.come(browser, `${first.page}#/models`);
      const row = await find(visitor.page);
      await row.getByRole('button', { name: `Load… ${reference}` }).click();
      await row.getByRole('button', { name: 'Load', exact: true }).click();
      const card = visitor.page.getByRole('article', { name: `Load of ${reference}` });
      await card
        .getByRole('list', { name: 'Machines' })
        .getByText(/^(harbour|pier)$/)
        .first()
        .waitFor(); // whichever is planned to hold it
      await visitor.fits('a load by ranges');
      await hub.set({ bytes_per_second: null });
      await visitor.page.getByText('ready', { exact: true }).waitFor();
      await visitor.leave(/status of 404/); // of the plan, where nobody has the model's header
    } finally {
      await Promise.all([first.stop(), second.stop()]);
    }
  });

  test('what a hub refuses is said in its own sentence', async () => {
    const node = await Node.start('harbour', { hub });
    try {
      const visitor = await Visitor.come(browser, `${node.page}#/models`);
      const row = await find(visitor.page);
      await row.waitFor();
      await hub.set({ gated: true });
      await row.getByRole('button', { name: `Pull ${reference}` }).click();
      const card = visitor.page.getByRole('article', { name: `Pull of ${reference}` });
      await card
        .getByRole('alert')
        .getByText(/restricted|licence|403/i)
        .waitFor();
      await card.getByRole('button', { name: 'Try again' }).waitFor();
      await visitor.leave(/status of/);
    } finally {
      await hub.set({ gated: false });
      await node.stop();
    }
  });
});
