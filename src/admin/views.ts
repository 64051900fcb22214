import type { Any } from '@bufbuild/protobuf/wkt';
import type { MeshConfig } from '../apis/mesh-config.ts';
import type { ConfigObject } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Endpoint, Service } from '../mesh/model.ts';
import type { ConfigDump, DumpRequest } from './dump.ts';
import type { CostReport } from '../snapshot/costs/cost-ledger.ts';
import type { StreamStatus } from '../xds/source.ts';
import type { ClusterView } from './clusterz.ts';

/** What the debug API may see of the daemon: read-only, called on each request. */
export interface AdminViews {
  /** The streams that are connected now. */
  streams(): readonly StreamStatus[];
  /** All problems of all objects, and of resources that proxies have refused. */
  problems(): readonly Problem[];
  services(): readonly Service[];
  endpoints(): readonly ServiceEndpoints[];
  /**
   * Envoy's `ConfigDump` as JSON for the proxy whose connection id is given, private keys left out. Undefined when it is not connected. Waits while
   * a change is being translated.
   */
  dump(connectionId: string, request: DumpRequest): Promise<ConfigDump | undefined>;
  /** The sections of Envoy's dump as messages, without endpoints; as `dump` in all else. */
  dumpMessages(connectionId: string): Promise<readonly Any[] | undefined>;
  /** Every object that was read. */
  objects(): Iterable<ConfigObject>;
  /** With its defaults. */
  meshConfig(): MeshConfig;
  /** The cluster whose configuration is read first. */
  clusters(): readonly ClusterView[];
  /** What changes of objects have cost lately. */
  costs(): CostReport;
  /** The replicas of this control plane, and which of them leads; empty where none is known to. */
  replicas(): { readonly self: string; readonly leader: string; readonly replicas: readonly unknown[] };
}

export interface ServiceEndpoints {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
}
