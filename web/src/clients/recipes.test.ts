import { expect, test } from 'vitest';
import { recipes, warnings_of, type Host } from './recipes';

const host: Host = {
  root: 'http://studio.local:52415',
  base: 'http://studio.local:52415/v1',
  model: `o'neil/"big"-7B`,
  key: null,
  context_tokens: 65536,
  has_tools: true,
};
const recipe = (id: string) => {
  const found = recipes.find((each) => each.id === id);
  if (!found) throw new Error(`no recipe is called ${id}`);
  return found;
};

test.each(recipes)('$name is told this address', ({ text }) => {
  expect(text(host)).toContain('http://studio.local:52415');
});

test('who lengthens the address itself gets it without /v1, the others with it', () => {
  const lengthens = ['claude-code', 'ollama'];
  for (const { id, text } of recipes) {
    expect([id, text(host).includes('http://studio.local:52415/v1')]).toEqual([id, !lengthens.includes(id)]);
  }
});

test.each(recipes)('$name shows a place for the key where one is needed, and none where not', ({ text }) => {
  expect(text({ ...host, key: 'YOUR-KEY' })).toContain('YOUR-KEY');
  expect(text(host)).not.toContain('YOUR-KEY');
});

test('a name with quotes does not break out of what surrounds it', () => {
  expect(recipe('python').text(host)).toContain(`model="o'neil/\\"big\\"-7B"`);
  expect(recipe('codex').text(host)).toContain(`model = "o'neil/\\"big\\"-7B"`);
  expect(recipe('curl').text(host)).toContain(`o'\\''neil/\\"big\\"-7B`);
  expect(recipe('claude-code').text(host)).toContain(`ANTHROPIC_MODEL='o'\\''neil/"big"-7B'`);
});

test("Codex's own settings come before its first table", () => {
  const text = recipe('codex').text(host);
  expect(text.indexOf('model_context_window = 65536')).toBeLessThan(text.indexOf('[model_providers.flotilla]'));
  expect(text).toContain('wire_api = "responses"');
});

test('agents are warned of a model without tools or with little context, others are not', () => {
  const little = { ...host, has_tools: false, context_tokens: 8192 };
  expect(warnings_of(recipe('claude-code'), host)).toEqual([]);
  expect(warnings_of(recipe('claude-code'), little)).toHaveLength(2);
  expect(warnings_of(recipe('codex'), { ...host, has_tools: null, context_tokens: null })).toEqual([]);
  expect(warnings_of(recipe('curl'), little)).toEqual([]);
});
