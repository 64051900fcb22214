import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { cacheDir } from './src/cli/download/wheel.ts';

/** Of every suite. */
const common = {
  // Files share the modules that they import: to load them anew for each of 200 files took as much time as the tests.
  isolate: false,
  // A daemon that a test starts loads in two thirds of the time.
  env: { NODE_COMPILE_CACHE: join(cacheDir, 'compiled') },
};

/**
 * Suites: `unit` is beside the source, the others need a real component and say so when it is missing. They run one after the other, so that the
 * load tests on real Envoys have the processors for themselves.
 */
export default defineConfig({
  test: {
    reporters: ['default', './scripts/test-report.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['src/**/*.test.ts', 'bench/**/*.test.ts', 'scripts/**/*.test.ts'],
          // Those that translate a large mesh take a second, and many on a machine that does other things too.
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'golden',
          include: ['test/golden/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/random/**/*.test.ts', 'test/istio/**/*.test.ts'],
          testTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'envoy',
          include: ['test/envoy/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...common,
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts', 'test/prometheus/**/*.test.ts'],
          exclude: ['test/cluster/soak.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Every fault in one run, minutes long: before a release, on a machine that does nothing else.
        test: {
          ...common,
          name: 'soak',
          include: ['test/cluster/soak.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
