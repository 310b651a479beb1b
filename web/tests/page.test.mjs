// The page in a real browser against real nodes. Needs a build, the model, and Chromium; else it is skipped, visibly.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './browser.mjs';
import { Node, can_run, model, until } from './nodes.mjs';
import { small_pdf } from './small_pdf.mjs';
import { Visitor, short_names } from './visitor.mjs';

const skip = can_run ? false : 'needs a build and the model';

describe('the page', { skip, timeout: 900_000 }, () => {
  let browser, node;

  before(async () => {
    node = await Node.start('harbour', { has_model: true });
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await node?.stop();
  });

  const come = (wishes) => Visitor.come(browser, node.page, wishes);

  test('previews where a model would run, loads it with progress and unloads it', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.go('models');
    const card = page.getByRole('article', { name: model });
    await card.getByRole('button', { name: 'Load…' }).click();
    await card.getByText('It fits.').waitFor();
    await card.getByText(/harbour holds 30 of 30 layers/).waitFor();
    await card.getByLabel('Context, tokens').selectOption('2048');
    await card
      .getByText(/4 x 2048 tokens/)
      .first()
      .waitFor();
    await visitor.accessible('preview');
    await page.setViewportSize({ width: 360, height: 740 });
    await visitor.fits('preview in a narrow window');
    await page.setViewportSize({ width: 1280, height: 800 });
    await card.getByRole('button', { name: 'Load', exact: true }).click();
    await card.getByText('ready').waitFor();
    assert.equal((await node.get('placements')).placements[0].context_tokens, 2048);

    await card.getByRole('button', { name: 'Unload' }).click();
    await card.getByRole('button', { name: 'Load…' }).waitFor();
    assert.deepEqual((await node.get('placements')).placements, []);
    await visitor.leave();
  });

  test('a plan that is refused says why, and nothing can be loaded by it', async () => {
    const visitor = await come();
    const { page } = visitor;
    await page.route('**/plan?*', (route) =>
      route.fulfill({
        status: 400,
        json: { error: { message: '[planner] expected room for a whale but got a pond' } },
      }),
    );
    await visitor.go('models');
    const card = page.getByRole('article', { name: model });
    await card.getByRole('button', { name: 'Load…' }).click();
    await card.getByText('Expected room for a whale but got a pond.').waitFor();
    assert.ok(await card.getByRole('button', { name: 'Load', exact: true }).isDisabled());
    await visitor.leave(/status of 400/);
  });

  // Where it matters how an answer looks, not where it comes from.
  const answer_with = (page, text) =>
    page.route('**/v1/chat/completions', (route) =>
      route.fulfill({
        contentType: 'text/event-stream',
        body: `data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\ndata: [DONE]\n\n`,
      }),
    );

  // Each line of the answer to POST `path` is sent when the test says so: say(line), and end().
  async function scripted(page, path) {
    await page.addInitScript((path) => {
      const fetched = globalThis.fetch;
      globalThis.asked = [];
      globalThis.fetch = (url, wish) => {
        if (wish?.method !== 'POST' || String(url) !== `./${path}`) return fetched(url, wish);
        globalThis.asked.push(JSON.parse(wish.body));
        const body = new ReadableStream({
          start(controller) {
            const encoder = new TextEncoder();
            globalThis.say = (line) => controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
            globalThis.end = () => controller.close();
            wish.signal?.addEventListener('abort', () => controller.error(wish.signal.reason));
          },
        });
        return Promise.resolve(new Response(body));
      };
    }, path);
    await page.reload();
    return {
      say: (line) => page.evaluate((line) => globalThis.say(line), line),
      asked: () => page.evaluate(() => globalThis.asked),
    };
  }
  const hub_has = (page, models) => page.route('**/hub/models?*', (route) => route.fulfill({ json: { models } }));

  test('a pull tells how far each machine is, is stopped and gone on with, and says what came', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.go('models');
    await hub_has(page, short_names);
    const hub = await scripted(page, 'pull');
    const name = 'Qwen/Qwen3-4B-GGUF:Q8_0';
    const row = page.getByRole('listitem', { name: 'qwen3-4b' });
    await row.getByLabel('Quantization of qwen3-4b').selectOption('Q8_0');
    await row.getByRole('button', { name: `Pull ${name}` }).click();
    const card = page.getByRole('article', { name: `Pull of ${name}` });
    await card.getByText('Asking the hub…').waitFor();
    const mib = 1024 * 1024;
    const machines = [
      { name: 'harbour', done_bytes: 60 * mib, total_bytes: 80 * mib },
      { name: 'pier', done_bytes: 10 * mib, total_bytes: 40 * mib },
    ];
    await hub.say({
      progress: { done_bytes: 70 * mib, total_bytes: 120 * mib, bytes_per_second: 10 * mib, machines },
    });
    await card.getByText('70.0 MiB of 120 MiB · 10.5 MB/s · 5 s left').waitFor();
    await card.getByRole('img', { name: 'harbour: 75 %' }).waitFor();
    await card.getByRole('img', { name: 'pier: 25 %' }).waitFor();
    await hub.say({ note: 'a connection broke; tried again' });
    await card.getByText('a connection broke; tried again').waitFor();
    await visitor.fits('a pull');
    await visitor.accessible('a pull');

    await card.getByRole('button', { name: 'Stop' }).click();
    await card.getByText('Stopped. 70.0 MiB are kept').waitFor();
    await card.getByRole('button', { name: 'Go on' }).click();
    await until('it is asked for again', async () => (await hub.asked()).length === 2);
    assert.deepEqual(await hub.asked(), [{ model: name }, { model: name }]);
    await visitor.go('fleet'); // it goes on whatever is shown
    await visitor.go('models');
    await hub.say({ pulled: { name: 'Qwen3-4B-Q8_0', bytes: 120 * mib, fetched_bytes: 50 * mib, files: [] } });
    await card.getByText('Here as Qwen3-4B-Q8_0: 120 MiB, of which 50.0 MiB were missing.').waitFor();
    await card.getByRole('button', { name: /from this list/ }).click();
    await card.waitFor({ state: 'detached' });

    await row.getByLabel('Quantization of qwen3-4b').selectOption('Q8_0');
    await row.getByRole('button', { name: `Pull ${name}` }).click();
    await until('it is asked for', async () => (await hub.asked()).length === 3);
    await hub.say({ error: { code: 'unavailable', message: '[hub] expected an answer but got none; is it there?' } });
    await card.getByRole('alert').getByText('Expected an answer but got none; is it there?').waitFor();
    await card.getByRole('button', { name: 'Try again' }).waitFor();
    await visitor.leave();
  });

  test('a model that nobody has is loaded from the hub, and each machine tells how far it is', async () => {
    const visitor = await come();
    const { page } = visitor;
    await hub_has(page, short_names);
    await visitor.go('models');
    const hub = await scripted(page, 'load');
    const row = page.getByRole('listitem', { name: 'qwen3-4b' });
    await row.getByRole('button', { name: 'Load… qwen3-4b' }).click();
    await row.getByText('No machine has it yet').waitFor();
    await row.getByLabel('Context, tokens').selectOption('4096');
    const load = row.getByRole('button', { name: 'Load', exact: true });
    await until('it has been asked', () => load.isEnabled());
    await visitor.accessible('a preview of what nobody has');
    await load.click();
    const card = page.getByRole('article', { name: 'Load of qwen3-4b' });
    await card.getByText('Planning…').waitFor();
    assert.deepEqual(await hub.asked(), [{ model: 'qwen3-4b', context: 4096 }]);
    const machines = [
      { name: 'harbour', done_bytes: 40, total_bytes: 80 },
      { name: 'pier', done_bytes: 10, total_bytes: 40 },
    ];
    await hub.say({ progress: { text: 'fetching layers', done_bytes: 50, total_bytes: 120, machines } });
    await card.getByRole('img', { name: 'fetching layers: 42 %' }).waitFor();
    await card.getByRole('img', { name: 'pier: 25 %' }).waitFor();
    await hub.say({ placement: { model: 'Qwen3-4B-Q4_K_M' } });
    await card.waitFor({ state: 'detached' });
    await visitor.leave(/status of 404/); // of the plan
  });

  test('what others pull is shown, and a hub is searched only when somebody says so', async () => {
    const visitor = await come();
    const { page } = visitor;
    const asked = [];
    await page.route('**/hub/models?*', (route) => {
      asked.push(new URL(route.request().url()).searchParams.get('query'));
      return route.fulfill({ json: { models: asked.at(-1) ? [] : short_names, note: 'the hub wants a token' } });
    });
    await page.route('**/pulls', (route) =>
      route.fulfill({
        json: {
          pulls: [
            { model: 'llama3.2-3b', revision: 'main', done_bytes: 3e8, total_bytes: 6e8, bytes_per_second: 1e8 },
            { model: 'llama3.2-3b', revision: 'v2', done_bytes: 0, total_bytes: 0, bytes_per_second: 0 },
          ],
        },
      }),
    );
    await visitor.go('models');
    const other = page.getByRole('article', { name: 'Pull of llama3.2-3b by others', exact: true });
    await other.getByText('286 MiB of 572 MiB · 100 MB/s · 3 s left').waitFor();
    await page.getByRole('article', { name: 'Pull of llama3.2-3b at v2 by others' }).waitFor();
    await page.getByRole('listitem', { name: 'qwen3-4b' }).waitFor();
    await page.getByLabel('Search the hub').pressSequentially('no such "model" & more', { delay: 40 });
    await page.keyboard.press('Enter');
    await page.getByText(/Nothing is called like “no such "model" & more”/).waitFor();
    await page.getByText('the hub wants a token').waitFor();
    assert.deepEqual(asked, ['', 'no such "model" & more']);
    await visitor.leave();
  });

  test('a file is deleted only after a question that says what it frees', async () => {
    const visitor = await come();
    const { page } = visitor;
    await node.post('unload', { model });
    const asked = [];
    await page.route('**/delete', (route) => {
      asked.push(route.request().postDataJSON());
      return route.fulfill({ json: { model, freed_bytes: 98 * 1024 * 1024 } });
    });
    await visitor.go('models');
    const card = page.getByRole('article', { name: model, exact: true });
    const wish = card.getByRole('button', { name: `Delete ${model}` });
    await wish.click();
    const question = page.getByRole('dialog', { name: `Delete ${model}?` });
    await question.getByText(/This frees \d\d\.\d MiB on harbour\. No other machine/).waitFor();
    await visitor.accessible('the question before a file is deleted');
    await page.keyboard.press('Enter'); // what has the focus is the harmless one
    await question.waitFor({ state: 'hidden' });
    await wish.click();
    await page.keyboard.press('Escape');
    await question.waitFor({ state: 'hidden' });
    assert.deepEqual(asked, []);
    await wish.click();
    await question.getByRole('button', { name: 'Delete' }).click();
    await page.getByText(`${model} is deleted; 98.0 MiB are free again.`).waitFor();
    assert.deepEqual(asked, [{ model }]);
    await visitor.leave();
  });

  test('answers stream, and say how quickly they came', async () => {
    const visitor = await come({ settings: { tokens_max: 24 } });
    // Seen from within: a quick node has answered before anybody asks twice from outside.
    await visitor.page.evaluate(() => {
      window.lengths = new Set();
      const look = () => window.lengths.add([...document.querySelectorAll('.text')].at(-1)?.textContent.length);
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await visitor.ask('Why is the sky blue?');
    const place = visitor.answers().last();
    await visitor.answered();
    assert.ok((await visitor.page.evaluate(() => window.lengths.size)) > 3, 'the text has grown piece by piece');
    await place.getByText(/first token after [\d.]+ (µs|ms|s|min)/).waitFor();
    await place.getByText('24 tokens').waitFor();
    await place.getByText(/tokens\/s/).waitFor();
    await visitor.leave();
  });

  test('an answer can be stopped, and what came stays', async () => {
    const visitor = await come({ settings: { tokens_max: 400 } });
    await visitor.ask('Tell me a very long story about the sea.');
    const place = visitor.answers().last();
    await until('it has begun', async () => (await place.locator('.text').first().innerText()).length > 0);
    await visitor.page.getByRole('button', { name: 'Stop' }).click();
    await place.getByText('You stopped it here.').waitFor();
    await until('the node stops too', async () => (await node.get('placements')).placements[0]?.stats?.running === 0);
    assert.ok((await visitor.answered()).length > 0);
    await visitor.leave();
  });

  test('a question can be worded anew and an answer asked for again; all of them stay', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.ask('Name a fruit.');
    const first = await visitor.answered();
    await page.getByRole('button', { name: 'Another answer' }).click();
    await page.getByLabel('answer 2 of 2').waitFor();
    await visitor.answered();
    await page.getByRole('button', { name: 'Previous answer' }).click();
    await page.getByLabel('answer 1 of 2').waitFor();
    assert.equal(await visitor.answered(), first);

    await page.getByRole('button', { name: 'Edit question' }).click();
    await page.getByRole('article', { name: 'You' }).getByLabel('Question').fill('Name a colour.');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await page.getByLabel('wording 2 of 2').waitFor();
    await visitor.answered();
    await page.getByRole('button', { name: 'Previous wording' }).click();
    await page.locator('.bubble', { hasText: 'Name a fruit.' }).waitFor();
    await page.getByLabel('answer 1 of 2').waitFor();
    await visitor.leave();
  });

  test('conversations are there again after a reload, and gone once deleted', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.ask('Say something short.');
    const answer = await visitor.answered();
    await page.reload();
    assert.equal(await visitor.answered(), answer);
    await page.getByRole('button', { name: 'New conversation' }).click();
    await page.getByRole('heading', { name: 'What shall we talk about?' }).waitFor();
    const history = page.getByRole('region', { name: 'Conversations' });
    await history.getByRole('button', { name: 'Say something short.', exact: true }).click();
    assert.equal(await visitor.answered(), answer);
    await history.getByRole('button', { name: 'Delete Say something short.' }).click();
    await history.getByRole('button', { name: /Press again/ }).click();
    await page.reload();
    await page.getByRole('heading', { name: 'What shall we talk about?' }).waitFor();
    await visitor.leave();
  });

  test('text and PDF are read in the browser and asked about', async () => {
    const visitor = await come();
    const { page } = visitor;
    let asked;
    await page.route('**/v1/chat/completions', (route) => {
      asked = route.request().postDataJSON();
      return route.continue();
    });
    await page.getByLabel('Files').setInputFiles([
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('the anchor weighs 40 kg') },
      { name: 'chart.pdf', mimeType: 'application/pdf', buffer: small_pdf('Depth of the bay: 12 metres') },
    ]);
    await page.getByRole('button', { name: 'Take chart.pdf away' }).waitFor();
    await visitor.ask('How deep?');
    await visitor.answered();
    const { content } = asked.messages.at(-1);
    for (const part of ['the anchor weighs 40 kg', 'Depth of the bay: 12 metres', 'How deep?'])
      assert.ok(content.includes(part));

    await page
      .getByLabel('Files')
      .setInputFiles([{ name: 'a.bin', mimeType: 'x/y', buffer: Buffer.from([0, 255, 254, 1]) }]);
    await page.getByText('a.bin is neither text nor PDF.').waitFor();
    await visitor.leave();
  });

  test('code is coloured and copied, formulas are drawn, hostile text is text', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const text =
      'Look:\n\n```python\nimport os\n```\n\n$\\frac{a}{b}$ ' +
      '<img src="https://evil.example/x.png" onerror="alert(1)"> ' +
      '![p](https://evil.example/y.png)';
    await answer_with(page, text);
    await visitor.ask('Show me.');
    await page.locator('.hljs-keyword', { hasText: 'import' }).waitFor();
    await page.locator('math mfrac').waitFor();
    await page.getByText('<img src="https://evil.example/x.png"').waitFor();
    assert.equal(await page.locator('.answer img').count(), 0);
    await page.locator('.code-copy').click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'import os');
    await visitor.accessible('an answer with code and formulas');
    await visitor.leave();
  });

  test('what the API refuses is said in its own sentence, and can be tried again', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.ask('word '.repeat(9000));
    await page.getByRole('alert').getByText(/token/).waitFor();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await visitor.leave(/status of 400/);
  });

  test('a stream that waits for a lost machine says so calmly', async () => {
    const visitor = await come();
    const { page } = visitor;
    await page.addInitScript(() => {
      const fetched = globalThis.fetch;
      globalThis.fetch = (url, wish) => {
        if (!String(url).includes('chat/completions')) return fetched(url, wish);
        const body = new ReadableStream({
          start(controller) {
            const send = (text) => controller.enqueue(new TextEncoder().encode(text));
            const say = (content) => send(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
            say('Ships ');
            send(': waiting\n\n');
            globalThis.go_on = () => (say('sail.'), send('data: [DONE]\n\n'), controller.close());
          },
        });
        return Promise.resolve(new Response(body));
      };
    });
    await page.reload();
    await visitor.ask('What do ships do?');
    await page.getByText(/A machine was lost\. The answer goes on when/).waitFor();
    await page.evaluate(() => globalThis.go_on());
    assert.equal(await visitor.answered(), 'Ships sail.');
    assert.equal(await page.getByText('A machine was lost').count(), 0);
    await visitor.leave();
  });

  test('the fleet at a glance: how quickly it answers now, how soon, how much had been read before', async () => {
    const visitor = await come({ settings: { tokens_max: 3000 } }); // still at it when it is stopped
    const { page } = visitor;
    await visitor.ask('Tell me a very long story about a lighthouse.');
    await until('it answers', async () => (await node.get('placements')).placements[0]?.stats?.running === 1);
    await visitor.go('fleet');
    const figure = (name) => page.locator('dl div', { hasText: name }).first().locator('dd');
    await figure('Speed now')
      .getByText(/[\d.]+ tokens\/s/)
      .waitFor();
    await figure('Answering').getByText('1', { exact: true }).waitFor();
    await figure('First token, median')
      .getByText(/[\d.]+ (µs|ms|s)\s*of \d+ answers?/)
      .waitFor();
    await figure('Prompts read before').getByText(/\d+ %/).waitFor();
    await visitor.go('chat');
    await page.getByRole('button', { name: 'Stop' }).waitFor(); // an address is taken before its view is there for a key
    await page.keyboard.press('Escape');
    await page.getByText('You stopped it here.').waitFor();
    await visitor.leave();
  });

  test('other programs are told this address, the model that is chosen, and what to mind', async () => {
    const visitor = await come();
    const { page } = visitor;
    await visitor.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await visitor.go('connect');
    await page.getByRole('tab', { name: 'Claude Code' }).click();
    await page.getByText(/ANTHROPIC_BASE_URL='http:\/\/127\.0\.0\.1:\d+'\n/).waitFor();
    await page.getByText(/knows no tools/).waitFor();
    await page.getByRole('tab', { name: 'Claude Code' }).press('ArrowRight');
    await page.getByRole('group', { name: 'Settings for Codex CLI' }).waitFor();
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, new RegExp(`^model = "${model}"\\nmodel_provider = "flotilla"\\n`));
    assert.ok(copied.includes(`base_url = "${node.url}/v1"`));
    await visitor.leave();
  });

  test('by touch, in a narrow window: asked, found again among the conversations, gone on with', async () => {
    const visitor = await come({ width: 360, height: 740 });
    const { page } = visitor;
    await answer_with(page, 'Aye.');
    await page.getByLabel('Question', { exact: true }).fill('Say something short.');
    await page.getByRole('button', { name: 'Send' }).tap();
    const answer = await visitor.answered();
    await visitor.fits('a conversation');
    await visitor.accessible('a conversation in a narrow window');
    await page.getByRole('button', { name: 'Conversations' }).tap();
    const drawer = page.getByRole('dialog', { name: 'Conversations' });
    await visitor.accessible('the conversations in a narrow window');
    await drawer.getByRole('button', { name: 'New conversation' }).tap();
    await page.getByRole('heading', { name: 'What shall we talk about?' }).waitFor();
    await page.getByRole('button', { name: 'Conversations' }).tap();
    await drawer.getByRole('button', { name: 'Say something short.', exact: true }).tap();
    assert.equal(await visitor.answered(), answer);
    for (const name of ['Fleet', 'Models', 'Members', 'Connect', 'Chat']) {
      await page.getByRole('link', { name, exact: true }).tap();
      await page.locator(`nav a[aria-current=page]`, { hasText: name }).waitFor();
    }
    await visitor.leave();
  });

  test('everything can be done with the keyboard alone', async () => {
    const visitor = await come();
    const { page } = visitor;
    const focused = () =>
      page.evaluate(
        () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim(),
      );
    const tab_to = async (name, most = 40) => {
      for (let at = 0; at < most; ++at) {
        await page.keyboard.press('Tab');
        if ((await focused()) === name) return;
      }
      assert.fail(`no Tab leads to ${name}`);
    };
    await tab_to('To the content', 2);
    await tab_to('Models');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Models' }).waitFor();
    await page.keyboard.press('Shift+Tab');
    await page.goBack();
    await page.getByRole('heading', { name: 'What shall we talk about?' }).waitFor();
    await tab_to('Question');
    await page.keyboard.type('Hello');
    await page.keyboard.press('Enter');
    await visitor.answered();
    assert.equal(await focused(), 'Question');
    const shown = await page.evaluate(() => getComputedStyle(document.querySelector('.composer')).borderColor);
    await page.keyboard.press('Shift+Tab');
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', shown);

    await page.evaluate(() => (location.hash = '#/models'));
    await page.getByRole('heading', { name: 'Models' }).waitFor();
    const card = page.getByRole('article', { name: model, exact: true });
    await node.post('unload', { model });
    await card.getByRole('button', { name: 'Load…' }).waitFor();
    await tab_to('Load…');
    await page.keyboard.press('Enter');
    await card.getByText('It fits.').waitFor();
    await tab_to('Load');
    await page.keyboard.press('Enter');
    await card.getByText('ready').waitFor();
    await visitor.leave();
  });

  for (const width of [360, 768, 1440]) {
    test(`fits a window ${width} wide and passes axe in every view, light and dark`, async () => {
      for (const dark of [false, true]) {
        const visitor = await come({ width, height: 740, dark });
        await answer_with(visitor.page, 'An answer with `code`.\n\n1. one\n2. two');
        await visitor.page.getByLabel('Question', { exact: true }).fill('Say something short.');
        await visitor.page.getByRole('button', { name: 'Send' }).click(); // by touch the Enter key ends a line
        await visitor.answered();
        await visitor.accessible(`a conversation, ${width} wide, ${dark ? 'dark' : 'light'}`);
        await visitor.fits('a conversation');
        for (const view of ['chat', 'fleet', 'models', 'members', 'connect']) {
          await visitor.go(view);
          await visitor.page.getByRole('heading', { level: 1 }).waitFor();
          await visitor.page
            .getByText(/1 machine/)
            .first()
            .waitFor({ state: 'attached' });
          await visitor.fits(view);
          await visitor.accessible(`${view}, ${width} wide, ${dark ? 'dark' : 'light'}`);
        }
        await visitor.leave();
      }
    });
  }

  test('a key is asked for once, kept for the tab, and what it does not open says so', async () => {
    const guarded = await Node.start('guarded', { has_model: true });
    const key = /sk-\S+/.exec(await guarded.run('key', 'create', '--name', 'ann', '--scope', 'admin'))?.[0];
    const weak = /sk-\S+/.exec(await guarded.run('key', 'create', '--name', 'bob'))?.[0];
    try {
      const visitor = await Visitor.come(browser, guarded.page);
      const { page } = visitor;
      await page.getByRole('heading', { name: 'A key, please' }).waitFor();
      await visitor.accessible('the question for a key');
      await page.locator('dialog[open] input').fill('sk-wrong');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'This key does not open it' }).waitFor();
      await page.locator('dialog[open] input').fill(weak);
      await page.keyboard.press('Enter');
      await page.getByRole('option', { name: new RegExp(model) }).waitFor({ state: 'attached' });
      await visitor.go('fleet');
      await page.getByRole('main').getByText(/scope/).waitFor();
      await page.evaluate(() => sessionStorage.clear());
      await page.reload();
      await page.locator('dialog[open] input').fill(key);
      await page.keyboard.press('Enter');
      await page.getByRole('article', { name: 'guarded' }).waitFor();
      await page.reload();
      await page.getByRole('article', { name: 'guarded' }).waitFor();
      await visitor.leave(/status of 40[13]/);
    } finally {
      await guarded.stop();
    }
  });
});
