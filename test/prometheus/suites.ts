import { prometheusBinaries } from '../harness/prometheus-binaries.ts';
import { describeUnless } from '../harness/suites.ts';

const reason = await prometheusBinaries().then(
  () => undefined,
  (cause: unknown) => (cause as Error).message,
);

/** A suite that needs Prometheus. */
export function describeWithPrometheus(name: string, suite: () => void): void {
  describeUnless(reason, name, suite);
}
