// How soon the page is there on this machine, and how much of it is fetched: prints figures, judges nothing.
//
//   node tests/first_load.mjs [PAGE-URL]      without an address a node is started for it

import { launch } from './browser.mjs';
import { Node } from './nodes.mjs';

const visits = 15;

const node = process.argv[2] ? null : await Node.start('harbour');
const url = process.argv[2] ?? node.page;
const browser = await launch();

// Each visit is a first one: a context of its own has no cache.
async function visit() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('heading', { level: 1 }).waitFor();
  const seen = await page.evaluate(async () => {
    const paint = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
    while (paint() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    const files = [
      ...performance.getEntriesByType('navigation'),
      ...performance.getEntriesByType('resource').filter(({ initiatorType }) => initiatorType !== 'fetch'),
    ];
    return {
      paint_ms: paint(),
      files: files.length,
      encoded: files.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
      plain: files.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
    };
  });
  await context.close();
  return seen;
}

try {
  await visit(); // the browser's own start is nobody's concern
  const seen = [];
  for (let at = 0; at < visits; ++at) seen.push(await visit());
  const paints = seen.map(({ paint_ms }) => paint_ms).toSorted((a, b) => a - b);
  const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(
    `first contentful paint, ${visits} first visits: median ${Math.round(paints[visits >> 1])} ms, ` +
      `${Math.round(paints[0])} to ${Math.round(paints.at(-1))} ms`,
  );
  console.log(
    `fetched for it: ${kb(seen[0].encoded)} compressed (${kb(seen[0].plain)} plain) in ${seen[0].files} files`,
  );
} finally {
  await browser.close();
  await node?.stop();
}
