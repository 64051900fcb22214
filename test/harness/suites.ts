// This file decides which suites run; the tests are elsewhere.
/* oxlint-disable vitest/no-conditional-tests, vitest/valid-title, vitest/valid-describe-callback, vitest/expect-expect, vitest/no-disabled-tests */
import { describe, it } from 'vitest';

/** A suite that needs what a machine may lack. `reason`: why it is not there; it is then named as skipped, with the reason, and in CI (`$CI`) it fails. */
export function describeUnless(reason: string | undefined, name: string, suite: () => void): void {
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
