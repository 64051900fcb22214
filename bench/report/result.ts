/** What a run finds out. */
import type { Calibration } from '../calibration/calibrate.ts';
import type { Traffic } from '../streams/messages.ts';
import type { MeshSize } from '../workload/mesh.ts';
import type { Spread } from './statistics.ts';

/** What the proxies received, in all and by type. */
export interface Received extends Traffic {
  readonly byType: Readonly<Record<string, Traffic>>;
}

/** What came between two counts, for each of so many changes. */
export function receivedBetween(before: ReadonlyMap<string, Traffic>, after: ReadonlyMap<string, Traffic>, changes = 1): Received {
  const byType: Record<string, Traffic> = {};
  let messages = 0;
  let bytes = 0;
  for (const [type, now] of after) {
    const then = before.get(type) ?? { messages: 0, bytes: 0 };
    if (now.messages === then.messages) continue;
    const name = type.slice(type.lastIndexOf('.') + 1);
    byType[name] = { messages: (now.messages - then.messages) / changes, bytes: (now.bytes - then.bytes) / changes };
    messages += byType[name].messages;
    bytes += byType[name].bytes;
  }
  return { messages, bytes, byType };
}

/** Times of something that happens to proxies. */
export interface Receipts {
  /** Undefined when nothing came at all. */
  readonly spread?: Spread;
  /** How often it never came to a proxy that it concerned. */
  readonly failures: number;
}

/** What a real Envoy spent. */
export interface EnvoyResult {
  /** For each change, the median of them where they are measured one by one. */
  readonly cpuMs: number;
  readonly rssMb: number;
  /** Whether its configuration had the last change in the end; undefined where there is none to look for. */
  readonly hasChange?: boolean;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly title: string;
  /** What shows that a change has arrived, or what is timed. */
  readonly mark: string;
  readonly changes: number;
  /** One of what, where it is no change of an object. */
  readonly unit: 'change' | 'proxy' | 'pod';
  /** From the write to each proxy's receipt, or what is timed instead. */
  readonly receipts: Receipts;
  /** Streams that the server refused for the moment, so that their proxies tried again; undefined where none are opened. */
  readonly refused?: number;
  /** Of each change the last proxy: the median. Undefined where it is not measured one by one. */
  readonly lastMs?: number;
  /** All for each change; medians where they are measured one by one. */
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly received: Received;
  readonly peakRssMb: number;
  readonly eventLoopP99Ms?: number;
  /** Where changes of objects are measured: what proxies do themselves is none of its business. */
  readonly envoy?: EnvoyResult;
  /** Endpoint changes meanwhile, one a second: what the scenario does to other pushes. */
  readonly pushes?: Receipts;
}

export interface TargetResult {
  readonly target: string;
  /** From its start until it was ready, and what that took; only of a server that the bench started. */
  readonly start?: { readonly ms: number; readonly cpuMs: number; readonly peakRssMb: number };
  /** Of the real Envoy that took part: until it had its configuration. */
  readonly envoyStart?: { readonly ms: number; readonly cpuMs: number; readonly rssMb: number };
  readonly scenarios: readonly ScenarioResult[];
  /** Those that were asked for and could not be. */
  readonly skipped: readonly { readonly scenario: string; readonly reason: string }[];
  /** The most that it had in the run. */
  readonly peakRssMb: number;
}

/** All servers at one size. */
export interface SizeResult {
  readonly size: MeshSize;
  readonly targets: readonly TargetResult[];
}

/** What figures depend on besides the server. */
export interface Conditions {
  readonly protocol: 'delta' | 'sotw' | 'mixed';
  readonly feed: 'folder' | 'kubernetes';
  readonly tls: boolean;
  /** The proxies ask for their certificates over SDS. */
  readonly sds: boolean;
  readonly slowReaders: number;
  /** Type and share, as they were given. */
  readonly nack: string;
  readonly workers: number;
  readonly replicas: number;
}

export interface Report {
  readonly conditions: Conditions;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly calibration?: Calibration;
  readonly sizes: readonly SizeResult[];
}

/** How often a change never came to a proxy, or not to the real Envoy. */
export function failuresOf({ sizes }: Report): number {
  let failures = 0;
  for (const { targets } of sizes)
    for (const { scenarios } of targets)
      for (const { receipts, pushes, envoy } of scenarios)
        failures += receipts.failures + (pushes?.failures ?? 0) + (envoy?.hasChange === false ? 1 : 0);
  return failures;
}
