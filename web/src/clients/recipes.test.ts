import { expect, test } from 'vitest';
import { recipes } from './recipes';

const host = { base: 'http://studio.local:52415/v1', model: `o'neil/"big"-7B`, key: 'none' };

test.each(recipes)('$name is told this address', ({ text }) => {
  expect(text(host)).toContain('http://studio.local:52415/v1');
});

test('a name with quotes does not break out of what surrounds it', () => {
  const text = (id: string) => recipes.find((recipe) => recipe.id === id)?.text(host) ?? '';
  expect(text('python')).toContain(`model="o'neil/\\"big\\"-7B"`);
  expect(text('curl')).toContain(`o'\\''neil/\\"big\\"-7B`);
});
