/**
 * What changes may cost at most: a file that is checked in. Messages and bytes are exact on any machine; CPU time counts relative to a bare grpc-js server
 * in the same run, because machines differ and are busy.
 */
import type { Conditions, Report, ScenarioResult } from './result.ts';
import type { MeshSize } from '../workload/mesh.ts';

/** Of one change. */
export interface Costs {
  readonly messages: number;
  readonly bytes: number;
  /** Server CPU of the change, in those of the calibration. */
  readonly cpu: number;
}

export interface Budget {
  readonly conditions: Omit<Conditions, 'workers' | 'replicas'>;
  readonly size: MeshSize;
  /** Times what is written here. */
  readonly allow: Costs;
  readonly scenarios: Readonly<Record<string, Costs & { readonly allow?: Partial<Costs> }>>;
}

/** Messages and bytes may differ where a server batches what comes at about the same time. */
const defaultAllowance: Costs = { messages: 1.1, bytes: 1.1, cpu: 1.6 };

const figures = ['messages', 'bytes', 'cpu'] as const;

/** Throws for a run of several servers or sizes, or one without calibration. */
export function budgetOf(report: Report): Budget {
  const [only, ...others] = report.sizes;
  const [target, ...more] = only?.targets ?? [];
  if (only === undefined || target === undefined || others.length + more.length > 0)
    throw new Error('a budget is written from a run of one server at one size');
  return {
    conditions: comparable(report.conditions),
    size: only.size,
    allow: defaultAllowance,
    scenarios: Object.fromEntries(target.scenarios.map((result) => [result.scenario, rounded(costsOf(result, report))])),
  };
}

/** What is worse than allowed, a line for each figure. Throws when the run is another one than that of the budget. */
export function breaches(budget: Budget, report: Report): string[] {
  const found: string[] = [];
  let compared = 0;
  for (const { size, targets } of report.sizes) {
    const wrong = otherRun(budget, report.conditions, size);
    if (wrong !== undefined) throw new Error(wrong);
    for (const { target, scenarios } of targets)
      for (const result of scenarios) {
        const limits = budget.scenarios[result.scenario];
        if (limits === undefined) continue;
        compared++;
        const costs = costsOf(result, report);
        for (const figure of figures) {
          const most = limits[figure] * (limits.allow?.[figure] ?? budget.allow[figure]);
          if (costs[figure] > most)
            found.push(`${target}, ${result.scenario}: ${figure} ${inWords(costs[figure])} a change, at most ${inWords(most)} is allowed`);
        }
        if (result.receipts.failures > 0) found.push(`${target}, ${result.scenario}: ${result.receipts.failures} receipts are missing`);
      }
  }
  if (compared === 0) throw new Error(`the budget has none of the scenarios of this run, only ${Object.keys(budget.scenarios).join(', ')}`);
  return found;
}

/** Why a run cannot be held against the budget, if it cannot. */
export function otherRun(budget: Budget, conditions: Conditions, size: MeshSize): string | undefined {
  const different = differences({ ...budget.conditions, ...budget.size }, { ...comparable(conditions), ...size });
  return different.length === 0 ? undefined : `the budget is of another run: ${different.join(', ')}`;
}

/** Throws with the path of what is missing or wrong. */
export function parseBudget(text: string): Budget {
  const budget = JSON.parse(text) as Partial<Budget>;
  for (const key of ['conditions', 'size', 'allow', 'scenarios'] as const)
    if (typeof budget[key] !== 'object' || budget[key] === null) throw new Error(`${key} is missing or no object`);
  const { conditions, size, allow, scenarios } = budget as Budget;
  for (const [path, costs] of [
    ['allow', allow] as const,
    ...Object.entries(scenarios).map(([name, c]) => [`scenarios.${name}`, c] as const),
  ])
    for (const figure of figures)
      if (!(Number.isFinite(costs[figure]) && costs[figure] >= 0)) throw new Error(`${path}.${figure} must be a number of 0 or more`);
  return { conditions, size, allow, scenarios };
}

function costsOf({ received, serverCpuMs }: ScenarioResult, { calibration }: Report): Costs {
  if (calibration === undefined) throw new Error('a budget needs the calibration of its run');
  return { messages: received.messages, bytes: received.bytes, cpu: serverCpuMs / calibration.serverCpuMs };
}

function comparable({ workers: _workers, replicas: _replicas, ...others }: Conditions): Budget['conditions'] {
  return others;
}

function differences(budget: Readonly<Record<string, unknown>>, run: Readonly<Record<string, unknown>>): string[] {
  return Object.keys({ ...budget, ...run })
    .filter((key) => budget[key] !== run[key])
    .map((key) => `${key} ${String(budget[key])} and not ${String(run[key])}`);
}

function rounded({ messages, bytes, cpu }: Costs): Costs {
  return { messages: Math.ceil(messages * 100) / 100, bytes: Math.ceil(bytes), cpu: Math.ceil(cpu * 100) / 100 };
}

function inWords(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toFixed(2)));
}
