// Pictures of every view at three widths, light and dark, for people to look at.
//
//   node tests/pictures.mjs PAGE-URL FOLDER [VIEW...]

import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';

const [, , url, folder, ...wanted] = process.argv;
const widths = [360, 768, 1440];
const views = wanted.length > 0 ? wanted : ['chat', 'talk', 'fleet', 'models', 'members', 'connect'];

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

mkdirSync(folder, { recursive: true });
const browser = await launch();
for (const width of widths) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme });
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && console.log(`${width} ${message.text()}`));
    for (const view of views) {
      await page.goto(`${url}#/${view === 'talk' ? 'chat' : view}`);
      await page.reload();
      await page.waitForTimeout(1200);
      if (view === 'talk') await talk(page);
      if (view === 'models') await page.getByRole('button', { name: 'Load…' }).first().click();
      await page.waitForTimeout(900);
      await page.screenshot({ path: `${folder}/${view}-${width}-${colorScheme}.png` });
    }
    await context.close();
  }
}
await browser.close();
