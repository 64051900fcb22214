/** An explicit HTTP proxy port for workloads whose traffic nothing intercepts: one listener, one table with every HTTP host that the workload may see. */
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { outboundLogs } from '../envoy/filters/outbound-logs.ts';
import { buildHttpProxyListener } from '../envoy/listeners/outbound.ts';
import { httpProxyTable } from '../envoy/routes/table.ts';
import { buildVirtualHost } from '../envoy/routes/virtual-host.ts';
import { isHttp } from '../mesh/model.ts';
import { hostOfException } from '../mesh/visibility.ts';
import { KeySet } from '../store/keys.ts';
import { listenerType, routeType, virtualHostType } from '../wire/types.ts';
import type { OnDemandLists } from './on-demand.ts';
import { buildSharedOnDemandTable, buildSharedTable } from './outbound-listeners.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { SidecarPart } from './sidecar.ts';
import type { ResourceLists } from './table.ts';
import { resourceLists, type Scope, type Translation } from './translation.ts';
import { domainsOf, objectsIn, routeContext } from './virtual-hosts.ts';

export class HttpProxyPart extends SnapshotPart {
  private readonly disposables: { dispose(): void }[];
  private readonly makeOnDemand: () => OnDemandLists;
  private onDemandLists: OnDemandLists | undefined;

  /** `within`: only hosts that this part has. */
  constructor(
    t: Translation,
    id: string,
    scope: Scope & { readonly namespace: string },
    port: number,
    touched: Touched,
    within?: SidecarPart,
  ) {
    super(id, touched);
    const { mesh, visibility } = t;
    const only = new KeySet(mesh.graph, []).addFixed([httpProxyTable]);
    const hosts = new KeySet(mesh.graph, [visibility.hosts, visibility.exceptions])
      .addBucket(visibility.hostsByVisibility, 'public')
      .addBucket(visibility.exceptionsByScope, `${scope.namespace}#clusters`, hostOfException);
    const reads = [mesh.endpoints, mesh.virtualServices, mesh.destinationRules, ...(within === undefined ? [] : [within.clusters])];
    const listenerLists = (name: string, onDemand: boolean): ResourceLists<string> =>
      resourceLists<string>(t, `${id} ${name}`, only, [], (_key, problems) => {
        const config = mesh.objects.meshConfig();
        const built = buildHttpProxyListener({ mesh: config, ...outboundLogs(config) }, port, onDemand);
        return [t.encoder.encode(ListenerSchema, built.name, built, [], problems)];
      });
    const listener = listenerLists('listener', false);
    const table = resourceLists<string>(t, `${id} table`, only, [], (_key, problems) => [
      buildSharedTable(t, httpProxyTable, problems, within?.policy()),
    ]);
    const virtualHosts = resourceLists<string>(t, `${id} virtualHosts`, hosts, reads, (host, problems) => {
      const service = mesh.serviceAt(host, scope.namespace);
      if (service === undefined || (within !== undefined && (within.clusters.get(host)?.resources ?? []).length === 0)) return [];
      const virtualService = mesh.meshRoutesAt(host, scope.namespace);
      return service.ports
        .filter((p) => isHttp(p.protocol) || p.protocol === 'auto')
        .map((p) => {
          const built = buildVirtualHost({
            context: routeContext(t, scope, 0),
            domains: domainsOf(t, scope, service, p.number, true),
            service: { host, port: p.number },
            ...(virtualService === undefined ? {} : { virtualService }),
          });
          const name = `${httpProxyTable}/${host}:${p.number}`;
          if (built === undefined) return undefined;
          return t.encoder.encode(VirtualHostSchema, name, built, objectsIn(t, scope, service, virtualService), problems, {
            ignore: ['name'],
          });
        });
    });
    this.disposables = [listener, table, virtualHosts, only, hosts];
    this.follow(listenerType, listener).follow(routeType, table).follow(virtualHostType, virtualHosts);
    this.makeOnDemand = () => {
      const listeners = listenerLists('on-demand listener', true);
      const tables = resourceLists<string>(t, `${id} on-demand table`, only, [], (_key, problems) => [
        buildSharedOnDemandTable(t, httpProxyTable, problems),
      ]);
      this.disposables.push(listeners, tables);
      return { listeners: [listeners], routes: [tables], clusters: [], endpoints: [] };
    };
  }

  /** For proxies in lazy mode; made when the first of them comes. */
  onDemand(): OnDemandLists {
    return (this.onDemandLists ??= this.makeOnDemand());
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}
