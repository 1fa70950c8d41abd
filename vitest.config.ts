import os from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.evergrant/**', '**/cdk.out/**'],
    globalSetup: 'test/global-setup.ts',
    // Tests mostly wait for Postgres and sockets: a core for each worker, none kept back.
    maxWorkers: Math.max(2, os.availableParallelism()),
    // Nothing here takes a second by itself; machines that run tests are shared and stall.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
