import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// A node answers the API and serves these files at one address, so every address in them is relative.
export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // data: addresses would need a wider policy
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
  },
  server: {
    proxy: {
      '^/(v1|cluster|placements|plan|load|unload|models|hub|pulls?|delete|metrics|members|tokens?|join|approve|revoke|leave|health|ready)':
        {
          target: process.env.FLOTILLA_NODE ?? 'http://127.0.0.1:52415',
        },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {}, // tests show components, as a browser would
});
