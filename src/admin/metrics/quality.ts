/** What is wrong with the configuration, counted when it is asked for. */
import { kinds } from '../../apis/kinds.ts';
import type { Problem } from '../../apis/problem.ts';
import type { Instruments } from './instruments.ts';

export interface QualityOptions {
  readonly problems: () => readonly Problem[];
  readonly nowMs: () => number;
}

/** A count is kept so long, and so many times as long as it took: however large the mesh and however many scrape, counting takes 2 % of a core at most. */
const keepMs = 5_000;
const keepFactor = 50;

interface Counted {
  readonly atMs: number;
  readonly tookMs: number;
  /** By `kind|reason|severity`. */
  readonly byClass: ReadonlyMap<string, number>;
  readonly conflicts: ReadonlyMap<string, number>;
  /** Gateways of which a server has no effect. */
  readonly gateways: ReadonlySet<string>;
}

/** A manifest may hold any kind. */
const readKinds: ReadonlySet<string> = new Set(kinds.map(({ kind }) => kind));

const nothing: Counted = { atMs: Number.NEGATIVE_INFINITY, tookMs: 0, byClass: new Map(), conflicts: new Map(), gateways: new Set() };

export function qualityMetrics(make: Instruments, { problems, nowMs }: QualityOptions): void {
  let last = nothing;
  let known: ReadonlySet<string> = new Set();
  const rejected = make.counter('pilot_total_rejected_configs', 'Objects with a part that has no effect because another has its place', [
    'type',
    'name',
  ]);

  const counted = (): Counted => {
    if (nowMs() - last.atMs < Math.max(keepMs, keepFactor * last.tookMs)) return last;
    const startMs = nowMs();
    const found = countProblems(problems());
    last = { ...found, atMs: nowMs(), tookMs: nowMs() - startMs };
    for (const name of last.gateways) if (!known.has(name)) rejected.inc({ type: 'gateway', name });
    for (const name of known) if (!last.gateways.has(name)) rejected.remove({ type: 'gateway', name });
    known = last.gateways;
    return last;
  };

  make.collect('mizzen_config_problems', 'Problems of objects, by kind, reason and severity', ['kind', 'reason', 'severity'], (gauge) => {
    gauge.reset();
    for (const [key, count] of counted().byClass) {
      const [kind = '', reason = '', severity = ''] = key.split('|');
      gauge.set({ kind, reason, severity }, count);
    }
  });
  const conflicts = (name: string, help: string, kind: string): void => make.read(name, help, () => counted().conflicts.get(kind) ?? 0);
  conflicts('pilot_vservice_dup_domain', 'Hosts of VirtualServices that an older VirtualService has', 'VirtualService');
  conflicts('pilot_destrule_subsets', 'Subsets of DestinationRules that an older rule for the host has', 'DestinationRule');
  conflicts('pilot_conflict_inbound_listener', 'Ingress listeners of Sidecars on a port that another one has', 'Sidecar');
}

function countProblems(problems: readonly Problem[]): Omit<Counted, 'atMs' | 'tookMs'> {
  const byClass = new Map<string, number>();
  const conflicts = new Map<string, number>();
  const gateways = new Set<string>();
  for (const { object, reason, severity } of problems) {
    const slash = object.indexOf('/');
    const kind = object.slice(0, slash);
    add(byClass, `${readKinds.has(kind) ? kind : 'other'}|${reason}|${severity}`);
    if (reason !== 'Conflict') continue;
    add(conflicts, kind);
    if (kind === 'Gateway') gateways.add(object.slice(slash + 1));
  }
  return { byClass, conflicts, gateways };
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
