// This file decides which suites run; the tests are elsewhere.
/* oxlint-disable vitest/no-conditional-tests, vitest/valid-title, vitest/valid-describe-callback, vitest/expect-expect, vitest/no-disabled-tests */
import { describe, it } from 'vitest';
import { whyNoPods } from './pods.ts';

/** A suite that needs pods. Without them it is named as skipped, with the reason; in CI (`$CI`) it fails. */
export function describeWithPods(name: string, suite: () => void): void {
  const reason = whyNoPods();
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
