// Pictures of every view at three widths, light and dark, for people to look at. Where a view is longer than the window a
// second one ("-whole") shows all of it.
//
//   node tests/pictures.mjs PAGE-URL FOLDER [VIEW...]

import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';
import { short_names } from './visitor.mjs';

const [, , url, folder, ...wanted] = process.argv;
const widths = [360, 768, 1440];
const views = wanted.length > 0 ? wanted : ['chat', 'talk', 'fleet', 'models', 'pull', 'delete', 'members', 'connect'];

const answer = `Of course. A short **summary**, then code:

1. The wind pushes on the sail, the water on the keel.
2. Together they leave a force *forwards*.

\`\`\`python
def longest(text: str) -> str:
    """The longest word."""
    return max(text.split(), key=len, default="")
\`\`\`

The lift is about $L = \\frac{1}{2} \\rho v^2 S C_L$, so

$$\\int_0^T F(t)\\,dt = \\Delta p$$

| Course | Angle | Speed |
|---|---|---|
| close-hauled | 45° | 5 kn |
| beam reach | 90° | 7 kn |

> The sea finds out everything you did wrong.`;

function chunks() {
  const say = (delta, more = {}) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }], ...more })}\n\n`;
  const usage = { prompt_tokens: 31, completion_tokens: 188, prompt_tokens_details: { cached_tokens: 12 } };
  return say({ content: answer }) + `data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`;
}

async function talk(page) {
  await page.route('**/v1/chat/completions', (route) =>
    route.fulfill({ status: 200, contentType: 'text/event-stream', body: chunks() }),
  );
  await page.getByLabel('Question').fill('How can a boat sail against the wind? Show me some code and a formula, too.');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Another answer' }).waitFor();
  await page.getByRole('button', { name: 'Another answer' }).click();
  await page.getByLabel('answer 2 of 2').waitFor();
  await page.locator('math').first().waitFor();
  await page.locator('.hljs-keyword').first().waitFor();
}

// A pull as a hub would let it go on, and what there is to pull.
async function pull(page) {
  await page.route('**/pulls', (route) => route.fulfill({ json: { pulls: [] } }));
  await page.route('**/hub/models?*', (route) => route.fulfill({ json: { models: short_names } }));
  await page.addInitScript(() => {
    const fetched = globalThis.fetch;
    const mib = 1024 * 1024;
    const machines = [
      { name: 'harbour', done_bytes: 610 * mib, total_bytes: 1400 * mib },
      { name: 'pier', done_bytes: 300 * mib, total_bytes: 900 * mib },
    ];
    const progress = { done_bytes: 910 * mib, total_bytes: 2300 * mib, bytes_per_second: 11e6, machines };
    const said = new TextEncoder().encode(`${JSON.stringify({ progress })}\n`);
    globalThis.fetch = (url, wish) => {
      if (String(url) !== './pull') return fetched(url, wish);
      return Promise.resolve(new Response(new ReadableStream({ start: (controller) => controller.enqueue(said) })));
    };
  });
  await page.reload();
  const row = page.getByRole('listitem', { name: 'qwen3-4b' });
  await row.getByRole('button', { name: 'Pull qwen3-4b' }).click();
  await page.getByText('910 MiB').first().waitFor();
}

async function ask_to_delete(page) {
  await page.route('**/pulls', (route) => route.fulfill({ json: { pulls: [] } }));
  await page.route('**/hub/models?*', (route) => route.fulfill({ json: { models: short_names } }));
  await page.reload();
  await page
    .getByRole('button', { name: /^Delete / })
    .first()
    .click();
}

// The view as long as it is.
async function whole(page, path) {
  const { width, height } = page.viewportSize();
  const missing = await page.evaluate(() => {
    const scrolls = [document.querySelector('main'), document.querySelector('.scroller')].filter(Boolean);
    return Math.max(...scrolls.map((each) => each.scrollHeight - each.clientHeight));
  });
  if (missing < 20) return;
  await page.setViewportSize({ width, height: Math.min(height + missing, 4000) });
  await page.waitForTimeout(300);
  await page.screenshot({ path });
  await page.setViewportSize({ width, height });
}

mkdirSync(folder, { recursive: true });
const browser = await launch();
for (const width of widths) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme });
    for (const view of views) {
      const page = await context.newPage();
      page.on('console', (message) => message.type() === 'error' && console.log(`${width} ${message.text()}`));
      await page.goto(`${url}#/${{ talk: 'chat', pull: 'models', delete: 'models' }[view] ?? view}`);
      await page.reload();
      await page.waitForTimeout(1200);
      if (view === 'talk') await talk(page);
      if (view === 'pull') await pull(page);
      if (view === 'delete') await ask_to_delete(page);
      const preview = page.getByRole('button', { name: 'Load…', exact: true }).first();
      if (view === 'models' && (await preview.count()) > 0) await preview.click();
      await page.waitForTimeout(900);
      await page.screenshot({ path: `${folder}/${view}-${width}-${colorScheme}.png` });
      await whole(page, `${folder}/${view}-${width}-${colorScheme}-whole.png`);
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
