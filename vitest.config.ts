import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.evergrant/**', '**/cdk.out/**'],
    globalSetup: 'test/global-setup.ts',
    // Nothing here takes a second by itself; machines that run tests are shared and stall.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
