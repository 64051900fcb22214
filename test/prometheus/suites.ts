// This file decides which suites run; the tests are elsewhere.
/* oxlint-disable vitest/no-conditional-tests, vitest/valid-title, vitest/valid-describe-callback, vitest/expect-expect, vitest/no-disabled-tests */
import { describe, it } from 'vitest';
import { prometheusBinaries } from '../harness/prometheus-binaries.ts';

const reason = await prometheusBinaries().then(
  () => undefined,
  (cause: unknown) => (cause as Error).message,
);

/** A suite that needs Prometheus. Without it it is named as skipped, with the reason; in CI (`$CI`) it fails. */
export function describeWithPrometheus(name: string, suite: () => void): void {
  if (reason === undefined) describe(name, suite);
  else if ((process.env['CI'] ?? '') === '') describe.skip(`${name} [skipped: ${reason}]`, suite);
  else {
    describe(name, () => {
      it('has what it needs', () => {
        throw new Error(`this suite may not be skipped in CI: ${reason}`);
      });
    });
  }
}
