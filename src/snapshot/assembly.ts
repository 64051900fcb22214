import { inCluster } from '../apis/object.ts';
import type { Vantage } from '../envoy/endpoints/reach.ts';
import type { Families } from '../envoy/families.ts';
import { localityScope, nodeScope } from '../mesh/visibility.ts';
import type { TypeUrl } from '../xds/source.ts';
import { FamiliesPart } from './families.ts';
import { GatewayPart, type CredentialReader } from './gateway.ts';
import { HttpProxyPart } from './http-proxy.ts';
import { InboundPart } from './inbound.ts';
import { LocalityPart } from './locality.ts';
import { NameTablePart } from './name-table.ts';
import { OnDemandPart, type OnDemandLists } from './on-demand.ts';
import { OutboundPart } from './outbound.ts';
import type { SnapshotPart } from './part.ts';
import type { Parts } from './parts.ts';
import { planKey, type Plan } from './plan.ts';
import { SidecarPart } from './sidecar.ts';
import type { ResourceTable } from './table.ts';
import { publicScope, type Translation } from './translation.ts';
import { VantagePart, type VantageScope } from './vantage.ts';
import { capabilitiesKey } from './view.ts';

/** The parts of one proxy, lowest first. */
export interface Assembled {
  readonly shared: readonly SnapshotPart[];
  /** Acquired for it, and not in its view. */
  readonly kept: readonly SnapshotPart[];
  /** Where it asks for hosts and clusters; undefined when it is not in lazy mode. */
  readonly sources: readonly SnapshotPart[] | undefined;
}

/** Puts the parts together that a plan is served by. Proxies share all that is the same for them. */
export class Assembly {
  private readonly parts: Parts;
  private readonly touched: (part: SnapshotPart, type: TypeUrl, table: ResourceTable) => void;
  private readonly readCredential: CredentialReader;

  constructor(parts: Parts, touched: (part: SnapshotPart, type: TypeUrl, table: ResourceTable) => void, readCredential: CredentialReader) {
    this.parts = parts;
    this.touched = touched;
    this.readCredential = readCredential;
  }

  /** In place of `part` for proxies in lazy mode. */
  private onDemandPart(part: SnapshotPart & { onDemand(): OnDemandLists }): SnapshotPart {
    const key = `${part.id} on demand`;
    return this.parts.acquire(key, () => new OnDemandPart(key, this.touched, part.onDemand()), [part]);
  }

  /** Each part is acquired; who takes them releases them. `secrets`: a gateway's private keys may go to the proxy. */
  assemble(plan: Plan, t: Translation, secrets: boolean): Assembled {
    const able = `${capabilitiesKey(t.capabilities)}${inCluster(plan.cluster)}`;
    const { touched } = this;
    const shared: SnapshotPart[] = [];
    /** Lazy mode: parts that are not its own, but that it asks for hosts and clusters of. */
    const sources: SnapshotPart[] = [];
    const kept: SnapshotPart[] = [];
    const add = (part: SnapshotPart & { onDemand(): OnDemandLists }): void => {
      if (plan.type === 'router' || !plan.lazy) {
        shared.push(part);
        return;
      }
      sources.push(part);
      shared.push(this.onDemandPart(part));
      // The one that stands on it keeps it.
      this.parts.release(part);
    };
    if (plan.type === 'router') {
      const key = `${able} gateway${secrets ? '' : ' without secrets'} ${planKey(plan.gateway)}`;
      const readCredential = secrets ? this.readCredential : undefined;
      const part = this.parts.acquire(key, () => new GatewayPart(t, key, plan.gateway, touched, readCredential));
      shared.push(part, ...this.familiesParts(t, plan.families, [part]));
      if (plan.nameTable) shared.push(...this.nameTableParts(t, plan.gateway.namespace, undefined));
    } else {
      const baseKey = `${able} public`;
      const base = this.parts.acquire(baseKey, () => new OutboundPart(t, baseKey, publicScope, touched));
      const overlayKey = `${able} namespace ${planKey(plan.outbound)}`;
      const overlay = this.parts.acquire(overlayKey, () => new OutboundPart(t, overlayKey, plan.outbound, touched, base), [base]);
      let only: SidecarPart | undefined;
      if (plan.sidecar === undefined) {
        add(base);
        add(overlay);
      } else {
        const scope = plan.sidecar;
        const key = `${able} sidecar ${planKey([scope, plan.outbound])}`;
        only = this.parts.acquire(key, () => new SidecarPart(t, key, scope, touched, [base, overlay]), [base, overlay]);
        add(only);
        this.parts.release(base);
        this.parts.release(overlay);
      }
      shared.push(...this.familiesParts(t, plan.families, [...shared]));
      // Over what it asks of too: these are not its own parts, and held for it.
      const familiesOfSources = this.familiesParts(t, plan.families, [...sources]);
      sources.push(...familiesOfSources);
      kept.push(...familiesOfSources);
      const { namespace } = plan.outbound;
      const { vantage } = plan;
      if (vantage !== undefined) shared.push(...this.vantageParts(t, able, vantage, namespace, only ?? base));
      const near = [
        { hosts: localityScope, proxy: plan.location },
        { hosts: nodeScope, proxy: plan.onNode },
      ] as const;
      for (const { hosts, proxy } of near) {
        if (proxy === undefined) continue;
        const key = `${able} locality ${planKey([hosts, namespace, proxy, plan.sidecar, vantage])}`;
        const scope = { namespace, hosts, proxy, vantage };
        const lower = only === undefined ? [] : [only];
        shared.push(this.parts.acquire(key, () => new LocalityPart(t, key, scope, touched, only), lower));
      }
      const proxyPort = plan.httpProxyPort;
      if (proxyPort !== undefined) {
        const key = `${able} http-proxy ${planKey([plan.outbound, proxyPort, plan.sidecar])}`;
        const lower = only === undefined ? [] : [only];
        add(this.parts.acquire(key, () => new HttpProxyPart(t, key, plan.outbound, proxyPort, touched, only), lower));
      }
      if (plan.nameTable) shared.push(...this.nameTableParts(t, plan.outbound.namespace, only));
      const key = `${able} inbound ${planKey(plan.inbound)}`;
      shared.push(this.parts.acquire(key, () => new InboundPart(t, key, plan.inbound, touched)));
    }
    return { shared, kept, sources: plan.type === 'sidecar' && plan.lazy ? sources : undefined };
  }

  /** One over each of the parts, in their order; none for a proxy without IPv6. */
  private familiesParts(t: Translation, families: Families | undefined, of: readonly SnapshotPart[]): FamiliesPart[] {
    if (families === undefined) return [];
    const { touched } = this;
    return of.map((part, i) => {
      const key = `${families} ${part.id}`;
      return this.parts.acquire(key, () => new FamiliesPart(t, key, families, part, i > 0, touched), [part]);
    });
  }

  /** Lowest first. `below`: the Sidecar's part, else that of what all see. */
  private vantageParts(
    t: Translation,
    able: string,
    vantage: Vantage,
    namespace: string,
    below: SidecarPart | OutboundPart,
  ): VantagePart[] {
    const { touched } = this;
    const acquire = (scope: VantageScope, seen: readonly unknown[], lower: readonly SnapshotPart[]): VantagePart => {
      const key = `${able} vantage ${planKey([vantage, scope.of, ...seen])}`;
      return this.parts.acquire(key, () => new VantagePart(t, key, scope, touched), lower);
    };
    if (below instanceof SidecarPart) return [acquire({ of: 'sidecar', vantage, namespace, below }, [below.id], [below])];
    return [acquire({ of: 'public', vantage, below }, [], [below]), acquire({ of: 'namespace', vantage, namespace }, [namespace], [])];
  }

  /** Lowest first. Nothing in them depends on what the proxy can do, but the hosts of a Sidecar's part are that part's. */
  private nameTableParts(t: Translation, namespace: string, within: SidecarPart | undefined): NameTablePart[] {
    const { touched } = this;
    if (within !== undefined) {
      const key = `names ${within.id}`;
      const { hosts } = within;
      return [this.parts.acquire(key, () => new NameTablePart(t, key, touched, { namespace, hosts }), [within])];
    }
    const names = `names${inCluster(t.mesh.cluster)}`;
    const below = this.parts.acquire(`${names} public`, () => new NameTablePart(t, `${names} public`, touched, { namespace: undefined }));
    const key = `${names} namespace ${namespace}`;
    return [below, this.parts.acquire(key, () => new NameTablePart(t, key, touched, { namespace, below }), [below])];
  }
}
