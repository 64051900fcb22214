import { defineConfig } from 'vitest/config';

/** Suites: `unit` is beside the source, the others need a real component and say so when it is missing. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts', 'bench/**/*.test.ts', 'scripts/**/*.test.ts'] } },
      { test: { name: 'golden', include: ['test/golden/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/random/**/*.test.ts'], testTimeout: 300_000 } },
      { test: { name: 'envoy', include: ['test/envoy/**/*.test.ts'], testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false } },
    ],
  },
});
