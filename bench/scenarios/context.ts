import type { RealEnvoy } from '../envoy/real.ts';
import type { Received } from '../report/result.ts';
import type { Fleet } from '../streams/fleet.ts';
import type { Meter, Overall, Spent } from '../target/meter.ts';
import type { Feed } from '../workload/feed.ts';
import type { MeshSize, SimulatedProxy } from '../workload/mesh.ts';

/** Numbers of changes that have been made, so that no two of a run are alike, whatever server they were made for. */
export interface Numbers {
  changes: number;
  samples: number;
  pods: number;
}

export interface Settings {
  /** Changes of each kind. */
  readonly changes: number;
  /** How long churn, a rolling restart and a renewal of all certificates last. */
  readonly seconds: number;
  readonly podsPerSecond: number;
  readonly bulkObjects: number;
  /** Share of the connections that drop. */
  readonly drop: number;
  /** Nothing comes for so long: the server has said everything. Longer than any server's pacing after a single change. */
  readonly quietMs: number;
  readonly limitMs: number;
}

/** A run of scenarios against one server. */
export interface Context {
  readonly settings: Settings;
  readonly feed: Feed;
  readonly fleet: Fleet;
  readonly meter: Meter;
  readonly envoy: RealEnvoy | undefined;
  readonly size: MeshSize;
  readonly proxies: readonly SimulatedProxy[];
  readonly numbers: Numbers;
  readonly progress: (line: string) => void;
}

export interface Cost extends Spent {
  readonly clientCpuMs: number;
  readonly received: Received;
}

/** The parts of a result that are the same in all scenarios. */
export function overallFields({ peakRssMb, eventLoopP99Ms }: Overall): { readonly peakRssMb: number; readonly eventLoopP99Ms?: number } {
  return { peakRssMb, ...(eventLoopP99Ms === undefined ? {} : { eventLoopP99Ms }) };
}
