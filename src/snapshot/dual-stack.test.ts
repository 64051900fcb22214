/** What proxies of one address family and of both get of services of one and of both. */
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import type { Address } from '#gen/envoy/config/core/v3/address_pb.js';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { clusterType, endpointType, listenerType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function objectOf(raw: object): ConfigObject {
  const parsed = parseObject(raw, {});
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const service = (name: string, clusterIPs: readonly string[]): ConfigObject =>
  objectOf({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { clusterIP: clusterIPs[0], clusterIPs, selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });

const pod = (name: string, ...ips: readonly string[]): ConfigObject =>
  objectOf({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { app: name.slice(0, name.indexOf('-')) } },
    spec: { containers: [] },
    status: { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })), phase: 'Running' },
  });

const slice = (app: string, addressType: string, addresses: readonly string[]): ConfigObject =>
  objectOf({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${app}-${addressType.toLowerCase()}`, namespace: 'shop', labels: { 'kubernetes.io/service-name': app } },
    addressType,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address, i) => ({
      addresses: [address],
      conditions: { ready: true },
      targetRef: { kind: 'Pod', name: `${app}-${i}`, namespace: 'shop' },
    })),
  });

const external = objectOf({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'api', namespace: 'shop' },
  spec: { hosts: ['api.example.com'], resolution: 'DNS', ports: [{ number: 443, name: 'tls', protocol: 'TLS' }] },
});

const ipv4Only = [service('old', ['10.0.0.1']), pod('old-0', '10.1.0.1'), slice('old', 'IPv4', ['10.1.0.1'])];
const dual = [
  service('web', ['10.0.0.2', 'fd00:a::2']),
  pod('web-0', '10.1.0.2', 'fd00::2'),
  pod('web-1', '10.1.0.3', 'fd00::3'),
  slice('web', 'IPv4', ['10.1.0.2', '10.1.0.3']),
  slice('web', 'IPv6', ['fd00::2', 'fd00::3']),
];
const everything = [...ipv4Only, ...dual, external];

const ips = (addresses: string): Record<string, unknown> => ({ INSTANCE_IPS: addresses });
const families = { ipv4: ips('10.2.0.1'), ipv6: ips('fd00:2::1'), both: ips('10.2.0.1,fd00:2::1') } as const;

function text(address: Address | undefined): string {
  return address?.address.case === 'socketAddress' ? address.address.value.address : '';
}

class Seen {
  private readonly view: PartsView;

  constructor(snapshot: Snapshot, metadata: Readonly<Record<string, unknown>>, type = 'sidecar') {
    this.view = new PartsView(openProxy(snapshot, nodeOf('client', 'shop', metadata, type)).parts);
  }

  private bytes(type: string, name: string): Uint8Array {
    const found = [...this.view.resources(type)].find((r) => r.name === name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found.bytes;
  }

  /** `address` or `address+other`. */
  endpoints(app: string): string[] {
    const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, this.bytes(endpointType, `outbound|80||${app}.shop.svc.cluster.local`));
    return endpoints
      .flatMap(({ lbEndpoints }) =>
        lbEndpoints.map(({ hostIdentifier: host }) =>
          host.case === 'endpoint'
            ? [text(host.value.address), ...host.value.additionalAddresses.map(({ address }) => text(address))].join('+')
            : '',
        ),
      )
      .sort();
  }

  listener(name: string): string {
    const { address, additionalAddresses } = fromBinary(ListenerSchema, this.bytes(listenerType, name));
    return [text(address), ...additionalAddresses.map((one) => text(one.address))].join('+');
  }

  cluster(name: string) {
    return fromBinary(ClusterSchema, this.bytes(clusterType, name));
  }
}

describe('endpoints', () => {
  it('of both families are one for each pod to who has both, and of its own family to who has one', () => {
    const snapshot = snapshotOf(everything);
    expect(new Seen(snapshot, families.both).endpoints('web')).toEqual(['10.1.0.2+fd00::2', '10.1.0.3+fd00::3']);
    expect(new Seen(snapshot, families.ipv4).endpoints('web')).toEqual(['10.1.0.2', '10.1.0.3']);
    expect(new Seen(snapshot, families.ipv6).endpoints('web')).toEqual(['fd00::2', 'fd00::3']);
    expect(new Seen(snapshot, families.ipv4).endpoints('old')).toEqual(['10.1.0.1']);
    expect(new Seen(snapshot, families.both).endpoints('old')).toEqual(['10.1.0.1']);
    // Nothing rather than what cannot be reached.
    expect(new Seen(snapshot, families.ipv6).endpoints('old')).toEqual([]);
  });

  it('are the same for gateways', () => {
    const route = objectOf({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'web', namespace: 'shop' },
      spec: { hosts: ['web.example.com'], gateways: ['gw'], http: [{ route: [{ destination: { host: 'web' } }] }] },
    });
    const gateway = objectOf({
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'gw', namespace: 'shop' },
      spec: { servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] },
    });
    const snapshot = snapshotOf([...everything, route, gateway]);
    expect(new Seen(snapshot, families.ipv4, 'router').endpoints('web')).toEqual(['10.1.0.2', '10.1.0.3']);
    const both = new Seen(snapshot, families.both, 'router');
    expect(both.endpoints('web')).toEqual(['10.1.0.2+fd00::2', '10.1.0.3+fd00::3']);
    expect([both.listener('0.0.0.0_80'), new Seen(snapshot, families.ipv6, 'router').listener('0.0.0.0_80')]).toEqual(['0.0.0.0+::', '::']);
  });
});

describe('a proxy with IPv6 addresses', () => {
  it('listens on the wildcard of IPv6 as well, or in its place', () => {
    const snapshot = snapshotOf(everything);
    const names = ['virtualOutbound', 'virtualInbound', '0.0.0.0_80'];
    const listens = (of: keyof typeof families): string[] => names.map((name) => new Seen(snapshot, families[of]).listener(name));
    expect(listens('ipv4')).toEqual(['0.0.0.0', '0.0.0.0', '0.0.0.0']);
    expect(listens('both')).toEqual(['0.0.0.0+::', '0.0.0.0+::', '0.0.0.0+::']);
    expect(listens('ipv6')).toEqual(['::', '::', '::']);
  });

  it('asks DNS for its families, and reaches its own workload from its own', () => {
    const snapshot = snapshotOf(everything);
    const lookups = Object.values(families).map(
      (metadata) => new Seen(snapshot, metadata).cluster('outbound|443||api.example.com').dnsLookupFamily,
    );
    // V4_ONLY, V6_ONLY, ALL.
    expect(lookups).toEqual([1, 2, 4]);
    const sources = (metadata: Readonly<Record<string, unknown>>): string[] => {
      const bind = new Seen(snapshot, metadata).cluster('InboundPassthroughCluster').upstreamBindConfig;
      return [bind?.sourceAddress?.address ?? '', ...(bind?.extraSourceAddresses ?? []).map(({ address }) => address?.address ?? '')];
    };
    expect([families.ipv4, families.ipv6, families.both].map(sources)).toEqual([['127.0.0.6'], ['::6'], ['127.0.0.6', '::6']]);
  });

  it('sees listeners come, change and go as others do', () => {
    const snapshot = snapshotOf(everything);
    const proxy = openProxy(snapshot, nodeOf('client', 'shop', families.both));
    const names = (): string[] => [...new PartsView(proxy.parts).resources(listenerType)].map((r) => r.name).sort();
    const before = names();
    const extra = service('extra', ['10.0.0.9']);
    snapshot.objects.put({ ...extra, spec: { ...(extra.spec as object), ports: [{ name: 'http', port: 8000 }] } } as ConfigObject);
    snapshot.flush();
    expect(names()).toEqual([...before, '0.0.0.0_8000'].sort());
    snapshot.objects.remove('Service/shop/extra' as never);
    snapshot.flush();
    expect(names()).toEqual(before);
  });
});

it('costs nothing where all have one family', () => {
  const snapshot = snapshotOf(ipv4Only);
  openProxy(snapshot, nodeOf('client', 'shop', families.ipv4));
  expect(snapshot.partCount).toBe(3);
});
