/** Random objects of a small mesh, valid and in conflict with each other as objects of real users are. */
import type { ConfigObject } from '../../src/apis/object.ts';
import { pick, some, type Random } from './random.ts';

const namespaces = ['a', 'b', 'istio-system'] as const;
const apps = ['x', 'y', 'z'] as const;
const kinds = [
  'Service',
  'ServiceEntry',
  'WorkloadEntry',
  'WorkloadEntry',
  'WorkloadEntry',
  'VirtualService',
  'VirtualService',
  'DestinationRule',
  'DestinationRule',
  'Sidecar',
  'PeerAuthentication',
  'AuthorizationPolicy',
  'Gateway',
] as const;

function object(kind: string, apiVersion: string, namespace: string, name: string, spec: object, created: number): ConfigObject {
  return {
    kind,
    apiVersion,
    namespace,
    name,
    labels: {},
    annotations: {},
    creationTimestamp: new Date(created * 1000).toISOString(),
    spec,
    origin: { file: `${namespace}-${name}.yaml`, line: 1 },
  };
}

const networking = 'networking.istio.io/v1';
const security = 'security.istio.io/v1';

/** `step` makes versions differ and is the age of new objects. */
export function randomObject(random: Random, step: number): ConfigObject {
  const namespace = pick(random, namespaces);
  const app = pick(random, apps);
  const kind = pick(random, kinds);
  switch (kind) {
    case 'Service':
      return object(kind, 'v1', namespace, app, serviceSpec(random, namespace, app, step), step);
    case 'ServiceEntry':
      return object(kind, networking, namespace, `se-${app}`, serviceEntrySpec(random, app), step);
    case 'WorkloadEntry':
      return object(kind, networking, namespace, `${app}-${random(3)}`, workloadSpec(random, namespace, app), step);
    case 'VirtualService':
      return object(kind, networking, namespace, `vs-${app}`, virtualServiceSpec(random, app, step), step);
    case 'DestinationRule':
      return object(kind, networking, namespace, `dr-${app}`, destinationRuleSpec(random, app), step);
    case 'Sidecar':
      return object(kind, networking, namespace, random(2) === 0 ? 'default' : `sc-${app}`, sidecarSpec(random, app), step);
    case 'PeerAuthentication':
      return object(kind, security, namespace, random(2) === 0 ? 'default' : `pa-${app}`, peerAuthenticationSpec(random, app), step);
    case 'AuthorizationPolicy':
      return object(kind, security, namespace, `ap-${app}`, authorizationSpec(random, app), step);
    case 'Gateway':
      return object(kind, networking, namespace, `gw-${random(2)}`, gatewaySpec(random), step);
  }
}

function serviceSpec(random: Random, namespace: string, app: string, step: number): object {
  const address = `10.${namespaces.indexOf(namespace as 'a') + 1}.0.${apps.indexOf(app as 'x') + 1}`;
  const ports = some(random, [
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'tcp-db', port: 3306 },
    { name: '', port: 9000, targetPort: 9000 },
    { name: 'https', port: 443 },
    { name: 'http-alt', port: 8000, targetPort: 'named' },
  ]);
  const kind = random(5);
  return {
    ...(kind === 0 ? { clusterIP: 'None' } : kind === 1 ? externalName(step) : { clusterIP: address }),
    ...(step % 7 === 3 ? { trafficDistribution: 'PreferClose' } : {}),
    ...(step % 7 === 5 ? { trafficDistribution: 'PreferSameNode' } : {}),
    ...(step % 11 === 5 ? { internalTrafficPolicy: 'Local' } : {}),
    selector: { app },
    ports: ports.length === 0 ? [{ name: 'http', port: 80 }] : ports,
  };
}

/** A name outside of the mesh, which DNS resolves, or another name of a service of the mesh. */
function externalName(step: number): object {
  return { type: 'ExternalName', externalName: step % 2 === 0 ? 'outside.example.org' : 'x.b.svc.cluster.local' };
}

function serviceEntrySpec(random: Random, app: string): object {
  const hosts = [pick(random, [`${app}.example.com`, '*.example.com', `x.b.svc.cluster.local`])];
  const ports = [
    pick(random, [
      { number: 443, name: 'tls', protocol: 'TLS' },
      { number: 80, name: 'http', protocol: 'HTTP' },
      { number: 5432, name: 'tcp', protocol: 'TCP' },
    ]),
  ];
  const exportTo = pick(random, [undefined, ['.'], ['*'], ['b']]);
  const shared = {
    hosts,
    ports,
    ...(exportTo === undefined ? {} : { exportTo }),
    location: pick(random, ['MESH_EXTERNAL', 'MESH_INTERNAL']),
  };
  if (hosts[0]?.startsWith('*') === true) return { ...shared, resolution: 'NONE' };
  switch (random(4)) {
    case 0:
      return { ...shared, resolution: 'STATIC', endpoints: [{ address: `20.0.0.${random(9) + 1}`, labels: { version: 'v1' } }] };
    case 1:
      return { ...shared, resolution: 'DNS' };
    case 2:
      return { ...shared, resolution: 'STATIC', workloadSelector: { labels: { app } } };
    default:
      return { ...shared, resolution: 'NONE', addresses: pick(random, [[], ['30.0.0.1'], ['30.0.0.0/24']]) };
  }
}

function workloadSpec(random: Random, namespace: string, app: string): object {
  return {
    address: `11.${namespaces.indexOf(namespace as 'a')}.${apps.indexOf(app as 'x')}.${random(5) + 1}`,
    labels: { app, version: pick(random, ['v1', 'v2']), ...(random(4) === 0 ? { 'security.istio.io/tlsMode': 'disabled' } : {}) },
    serviceAccount: pick(random, [app, 'other']),
    locality: pick(random, ['', 'r1/z1', 'r1/z2', 'r2/z1']),
    ...(random(3) === 0 ? { ports: { named: 8000 + random(3) } } : {}),
    weight: random(3),
  };
}

function hostOf(random: Random, app: string): string {
  return pick(random, [app, `${app}.b.svc.cluster.local`, `${app}.example.com`, '*.b.svc.cluster.local', 'plain.example.org']);
}

function virtualServiceSpec(random: Random, app: string, step: number): object {
  const exportTo = pick(random, [undefined, ['.'], ['*'], ['a']]);
  const match = pick(random, [
    undefined,
    [{ uri: { prefix: '/p' } }],
    [{ headers: { who: { exact: 'me' } } }, { uri: { exact: '/e' } }],
    [{ sourceNamespace: 'a' }],
    [{ sourceLabels: { version: 'v1' } }],
    [{ port: 80 }],
  ]);
  const route = [
    { destination: { host: app, subset: pick(random, ['v1', 'v2']) }, weight: 30 },
    { destination: { host: pick(random, apps) }, weight: 70 },
  ];
  return {
    hosts: [hostOf(random, app)],
    ...(random(4) === 0 ? { gateways: ['mesh', 'gw-0'] } : {}),
    ...(exportTo === undefined ? {} : { exportTo }),
    http: [
      ...(match === undefined ? [] : [{ match, route, timeout: `${(step % 9) + 1}s` }]),
      { route: [{ destination: { host: app } }], retries: { attempts: random(4) } },
    ],
  };
}

function destinationRuleSpec(random: Random, app: string): object {
  const exportTo = pick(random, [undefined, ['.'], ['b']]);
  return {
    host: hostOf(random, app),
    ...(exportTo === undefined ? {} : { exportTo }),
    ...(random(2) === 0
      ? {
          subsets: some(random, [
            { name: 'v1', labels: { version: 'v1' } },
            { name: 'v2', labels: { version: 'v2' } },
          ]),
        }
      : {}),
    trafficPolicy: pick(random, [
      { loadBalancer: { simple: 'ROUND_ROBIN' } },
      { outlierDetection: { consecutive5xxErrors: 3 } },
      { tls: { mode: pick(random, ['DISABLE', 'ISTIO_MUTUAL', 'SIMPLE']) } },
      { connectionPool: { tcp: { maxConnections: 1 + random(9) } } },
      { loadBalancer: { consistentHash: { httpHeaderName: 'x-user' } } },
    ]),
  };
}

function sidecarSpec(random: Random, app: string): object {
  return {
    ...(random(2) === 0 ? { workloadSelector: { labels: { app } } } : {}),
    egress: [{ hosts: some(random, ['./*', 'b/*', `*/${app}.example.com`, '~/*', '*/*']).concat('istio-system/*') }],
    ...(random(3) === 0 ? { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } } : {}),
  };
}

function peerAuthenticationSpec(random: Random, app: string): object {
  const mode = pick(random, ['STRICT', 'PERMISSIVE', 'DISABLE']);
  return random(2) === 0
    ? { mtls: { mode } }
    : { selector: { matchLabels: { app } }, mtls: { mode }, portLevelMtls: { 8080: { mode: pick(random, ['STRICT', 'DISABLE']) } } };
}

function authorizationSpec(random: Random, app: string): object {
  return {
    ...(random(2) === 0 ? { selector: { matchLabels: { app } } } : {}),
    action: pick(random, ['ALLOW', 'DENY']),
    rules: [{ from: [{ source: pick(random, [{ principals: [`cluster.local/ns/a/sa/${app}`] }, { namespaces: ['b'] }]) }] }],
  };
}

function gatewaySpec(random: Random): object {
  return {
    selector: { istio: 'gateway' },
    servers: [
      { port: { number: pick(random, [80, 8080]), name: 'http', protocol: 'HTTP' }, hosts: [pick(random, ['*', '*.example.com', 'b/*'])] },
    ],
  };
}
