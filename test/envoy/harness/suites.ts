import { describeUnless } from '../../harness/suites.ts';
import { whyNoPods } from './pods.ts';

/** A suite that needs pods. */
export function describeWithPods(name: string, suite: () => void): void {
  describeUnless(whyNoPods(), name, suite);
}
