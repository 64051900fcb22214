/** All scenarios by name, in the order in which they are run. */
import type { ScenarioResult } from '../report/result.ts';
import { changeNames, changeScenarios } from '../workload/changes.ts';
import type { MeshSize } from '../workload/mesh.ts';
import { measureChanges } from './changes.ts';
import { measureChurn } from './churn.ts';
import type { Context } from './context.ts';
import { measureCertificates, measureReconnect, measureRollingRestart } from './proxies.ts';

interface Scenario {
  readonly name: string;
  /** Why it cannot be under these conditions, if it cannot. */
  readonly obstacle?: (conditions: Facilities) => string | undefined;
  readonly measure: (context: Context) => Promise<ScenarioResult>;
}

export interface Facilities {
  readonly feed: 'folder' | 'kubernetes';
  /** The proxies have tokens. */
  readonly tls: boolean;
  readonly size: MeshSize;
}

/** The connect storm comes first in every run. */
export const connectName = 'connect';
export const reconnectName = 'reconnect';

const scenarios: readonly Scenario[] = [
  ...changeNames.map((name) => changeScenario(name)),
  { name: 'endpoint-churn', measure: measureChurn },
  { name: 'rolling-restart', measure: measureRollingRestart },
  {
    name: 'certificates',
    obstacle: ({ tls }) => (tls ? undefined : 'certificates are signed over TLS only: --tls'),
    measure: measureCertificates,
  },
  { name: reconnectName, measure: measureReconnect },
];

export const scenarioNames: readonly string[] = [connectName, ...scenarios.map(({ name }) => name)];

/** Without --scenario: what takes seconds. */
export const defaultNames: readonly string[] = [connectName, ...changeNames.filter((name) => name !== 'namespace-label')];

export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`there is no scenario ${name}: choose from ${scenarioNames.join(', ')}`);
  return found;
}

function changeScenario(name: string): Scenario {
  return {
    name,
    obstacle: ({ feed, size }) => {
      if (name === 'virtual-service' && size.virtualServices === 0) return 'there are no VirtualServices';
      if (name !== 'namespace-label') return undefined;
      if (feed !== 'kubernetes') return 'only namespaces of a cluster have labels that select: --feed kubernetes';
      return size.layout === 'sidecars' ? 'with a Sidecar in each namespace no proxy sees another one' : undefined;
    },
    measure: (context) => {
      const found = changeScenarios(context.size, context.settings.bulkObjects).find((scenario) => scenario.name === name);
      if (found === undefined) throw new Error(`there is no change named ${name} at this size`);
      return measureChanges(context, found);
    },
  };
}
