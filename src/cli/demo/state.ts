import type { Problem } from '../../apis/problem.ts';
import type { SyncStatus } from '../../admin/syncz.ts';
import type { TrafficSummary } from './traffic.ts';

/** What the demo shows at one moment. */
export interface DemoState {
  readonly gatewayUrl: string;
  readonly debugUrl: string;
  /** `name.namespace` of every proxy that was started. */
  readonly expected: readonly string[];
  readonly proxies: readonly SyncStatus[];
  readonly problems: readonly Problem[];
  readonly traffic: TrafficSummary;
  /** The file that holds the weights of the canary. */
  readonly canaryFile: string;
  readonly logDir: string;
  readonly uptimeSeconds: number;
}

export function allInSync(state: Pick<DemoState, 'expected' | 'proxies'>): boolean {
  return state.expected.every((name) => state.proxies.some((p) => p.proxy === name && p.state === 'SYNCED'));
}

/** `on` when every hop of every recent answered request came over mutual TLS. */
export function mutualTlsText(traffic: TrafficSummary): string {
  const answered = traffic.recent.filter((o) => o.error === '');
  if (answered.length === 0) return 'not seen yet';
  const with_ = answered.filter((o) => o.mutualTls).length;
  return with_ === answered.length ? 'on, every hop' : `on for ${with_} of ${answered.length} requests`;
}

/** `v1 80, v2 20`. */
export function versionsText(traffic: TrafficSummary): string {
  const names = Object.keys(traffic.versions).sort();
  return names.map((v) => `${v} ${traffic.versions[v] ?? 0}`).join(', ') || 'none yet';
}
