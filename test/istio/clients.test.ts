/**
 * What Istio's own clients were seen to send, literally, and what they need as an answer: the first messages of pilot-agent 1.32 (development) with an
 * Envoy 1.40 beside it, and the requests of istioctl. None of them is needed here.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { credentials, makeGenericClientConstructor, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClustersConfigDumpSchema } from '#gen/envoy/admin/v3/config_dump_shared_pb.js';
import { SecretsConfigDumpSchema } from '#gen/envoy/admin/v3/config_dump_pb.js';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { ClientConfigSchema, ConfigStatus } from '#gen/envoy/service/status/v3/csds_pb.js';
import { NameTableSchema } from '#gen/istio/networking/nds/v1/nds_pb.js';
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '#gen/istio/v1/auth/ca_pb.js';
import { readServices } from '../../src/discovery/descriptors.ts';
import { issueToken } from '../../src/identity/localtoken.ts';
import { clusterType, listenerType, nameTableType, shortName, typeUrlOf } from '../../src/wire/types.ts';
import { Discovery } from '../envoy/harness/discovery.ts';
import { http } from '../envoy/harness/http.ts';
import { eventually } from '../envoy/harness/wait.ts';

const manifests = `
apiVersion: v1
kind: Service
metadata: { name: page, namespace: shop }
spec: { clusterIP: 10.96.0.1, selector: { app: page }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: agent-1, namespace: shop }
spec: { address: 10.213.219.4, serviceAccount: agent, labels: { app: page } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: bank, namespace: shop }
spec:
  hosts: [bank.example]
  addresses: [240.0.0.9]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 10.1.2.3 }]
`;

/** pilot-agent's node, as its Envoy sends it, but for the long list of extensions. */
const agentNode: JsonObject = {
  id: 'sidecar~10.213.219.4~agent-1.shop~shop.svc.cluster.local',
  cluster: 'agent.shop',
  metadata: {
    ENVOY_STATUS_PORT: 15021,
    POD_PORTS: '[]',
    NAME: 'agent-1',
    SERVICE_ACCOUNT: 'agent',
    INSTANCE_IPS: '10.213.219.4',
    INTERCEPTION_MODE: 'REDIRECT',
    DNS_CAPTURE: 'true',
    WORKLOAD_NAME: 'agent',
    PILOT_SAN: ['istiod.istio-system.svc'],
    ENVOY_PROMETHEUS_PORT: 15090,
    LABELS: { app: 'agent' },
    CLUSTER_ID: 'Kubernetes',
    ISTIO_VERSION: '1.32.0',
    DNS_AUTO_ALLOCATE: 'true',
    WORKLOAD_IDENTITY_SOCKET_FILE: 'socket',
    PROXY_CONFIG: {
      binaryPath: '/usr/local/bin/envoy',
      controlPlaneAuthPolicy: 'MUTUAL_TLS',
      proxyAdminPort: 15000,
      drainDuration: '45s',
      statNameLength: 189,
      discoveryAddress: 'istiod.istio-system.svc:15012',
      serviceCluster: 'istio-proxy',
      statusPort: 15020,
      terminationDrainDuration: '5s',
      concurrency: 1,
      configPath: './etc/istio/proxy',
    },
    MESH_ID: 'cluster.local',
    NAMESPACE: 'shop',
    ENVOY_SKIP_DEPRECATED_LOGS: 'true',
    METADATA_DISCOVERY: 'false',
  },
  locality: {},
  user_agent_name: 'envoy',
  user_agent_build_version: { version: { major_number: 1, minor_number: 40 } },
  extensions: [
    { name: 'envoy.filters.http.router', category: 'envoy.filters.http' },
    { name: 'envoy.access_loggers.stats', category: 'envoy.access_loggers' },
  ],
};

/** istioctl's: it calls itself a sidecar, of a namespace that it has no identity in. */
const istioctlNode: JsonObject = {
  id: 'sidecar~192.0.2.2~test-1.default~default.svc.cluster.local',
  metadata: { NAMESPACE: 'istio-system', SERVICE_ACCOUNT: 'default', GENERATOR: 'event', ISTIO_VERSION: '65536.65536.65536' },
};
/** It has seen no response when it sends this. */
const istioctlNonce = '2026-11-21 15:03:25.316635142 +0000 UTC m=+0.070894511';

const services = readServices();
const Client = makeGenericClientConstructor({ ...services.aggregatedDiscovery, ...services.certificates }, 'istio');

let daemon: Discovery;
let folder: string;
let tls: InstanceType<typeof Client>;
let plaintext: InstanceType<typeof Client>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mizzen-test-'));
  mkdirSync(join(folder, 'config'));
  writeFileSync(join(folder, 'config', 'mesh.yaml'), manifests);
  const state = join(folder, 'state');
  daemon = await Discovery.start({ config: join(folder, 'config'), state, log: join(folder, 'discovery.log') });
  const { address, grpc, secureGrpc } = daemon.addresses;
  const root = readFileSync(join(state, 'ca', 'root-cert.pem'));
  tls = new Client(`${address}:${secureGrpc}`, credentials.createSsl(root), { 'grpc.ssl_target_name_override': 'istiod.istio-system.svc' });
  plaintext = new Client(`${address}:${grpc}`, credentials.createInsecure());
}, 60_000);

afterAll(async () => {
  tls.close();
  plaintext.close();
  await daemon[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function bearer(namespace: string, serviceAccount: string): Promise<Metadata> {
  const { token } = await issueToken({ stateDir: join(folder, 'state'), namespace, serviceAccount });
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  metadata.set('clusterid', 'Kubernetes');
  return metadata;
}

/** A stream whose messages are awaited one by one. */
class Exchange<Request, Response> {
  readonly #call: ClientDuplexStream<Request, Uint8Array>;
  readonly #parse: (bytes: Uint8Array) => Response;
  readonly #arrived: Response[] = [];
  readonly #waiting: ((response: Response) => void)[] = [];
  readonly ended: Promise<ServiceError>;

  constructor(call: ClientDuplexStream<Request, Uint8Array>, parse: (bytes: Uint8Array) => Response) {
    this.#call = call;
    this.#parse = parse;
    this.ended = new Promise((resolve) => call.once('error', resolve));
    call.on('error', () => undefined);
    call.on('data', (bytes: Uint8Array) => {
      const response = this.#parse(bytes);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#arrived.push(response);
      else waiting(response);
    });
  }

  send(request: Request): void {
    this.#call.write(request);
  }

  next(): Promise<Response> {
    const arrived = this.#arrived.shift();
    return arrived === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(arrived);
  }

  [Symbol.dispose](): void {
    this.#call.cancel();
  }
}

type Open<Request> = (metadata: Metadata) => ClientDuplexStream<Request, Uint8Array>;

function delta(client: InstanceType<typeof Client>, metadata: Metadata): Exchange<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  const open = (client['DeltaAggregatedResources'] as unknown as Open<DeltaDiscoveryRequest>).bind(client);
  return new Exchange(open(metadata), (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes));
}

function sotw(client: InstanceType<typeof Client>, metadata: Metadata): Exchange<DiscoveryRequest, DiscoveryResponse> {
  const open = (client['StreamAggregatedResources'] as unknown as Open<DiscoveryRequest>).bind(client);
  return new Exchange(open(metadata), (bytes) => fromBinary(DiscoveryResponseSchema, bytes));
}

const deltaRequest = (json: JsonObject): DeltaDiscoveryRequest => fromJson(DeltaDiscoveryRequestSchema, json);
const request = (json: JsonObject): DiscoveryRequest => fromJson(DiscoveryRequestSchema, json);

/** The stream of a pilot-agent that has its configuration: the order is that of the real one. */
async function connectAgent(node: JsonObject = agentNode): Promise<Exchange<DeltaDiscoveryRequest, DeltaDiscoveryResponse>> {
  const stream = delta(tls, await bearer('shop', 'agent'));
  const ack = ({ typeUrl, nonce }: DeltaDiscoveryResponse): void => stream.send(deltaRequest({ type_url: typeUrl, response_nonce: nonce }));
  stream.send(deltaRequest({ node, type_url: clusterType }));
  ack(await stream.next());
  stream.send(deltaRequest({ type_url: listenerType }));
  stream.send(deltaRequest({ type_url: nameTableType }));
  stream.send(deltaRequest({ type_url: 'type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig' }));
  stream.send(
    deltaRequest({
      type_url: 'type.googleapis.com/istio.v1.HealthInformation',
      error_detail: {
        code: 13,
        message: 'Get "http://127.0.0.1:15000/stats?usedonly": dial tcp 127.0.0.1:15000: connect: connection refused',
      },
    }),
  );
  ack(await stream.next());
  const names = await stream.next();
  expect(names.resources.map(({ name, resource }) => [name, resource?.typeUrl])).toEqual([['', nameTableType]]);
  ack(names);
  const { table } = fromBinary(NameTableSchema, names.resources[0]?.resource?.value ?? new Uint8Array());
  expect(
    Object.entries(table)
      .map(([host, { ips }]) => [host, ...ips])
      .sort(),
  ).toEqual([
    ['bank.example', '240.0.0.9'],
    ['page.shop.svc.cluster.local', '10.96.0.1'],
  ]);
  return stream;
}

/** Waits until the daemon has read the last acknowledgement. */
async function synced(): Promise<void> {
  await eventually('one agent is connected and has acknowledged its name table', async () => {
    const { body } = await http({ port: daemon.addresses.monitoring, path: '/debug/syncz' });
    const [stream, ...others] = JSON.parse(body) as { resources: Record<string, { acked?: string }> }[];
    return others.length === 0 && stream?.resources[nameTableType]?.acked !== undefined;
  });
}

describe('pilot-agent', () => {
  test('gets a certificate for the key that it has made', async () => {
    const key = join(folder, 'key.pem');
    const subject = ['-subj', '/O=', '-addext', 'subjectAltName=critical,URI:spiffe://cluster.local/ns/shop/sa/agent'];
    const csr = execFileSync('openssl', ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, ...subject], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const sign = tls['CreateCertificate'] as unknown as (
      r: object,
      m: Metadata,
      done: (e: Error | null, r: IstioCertificateResponse) => void,
    ) => void;
    const metadata = await bearer('shop', 'agent');
    const message = create(IstioCertificateRequestSchema, { csr: csr.toString(), validityDuration: 86_400n, metadata: {} });
    const { certChain } = await new Promise<IstioCertificateResponse>((resolve, reject) =>
      sign.call(tls, message, metadata, (error, response) => (error === null ? resolve(response) : reject(error))),
    );
    expect(certChain.length).toBeGreaterThanOrEqual(2);
    const names = execFileSync('openssl', ['x509', '-noout', '-ext', 'subjectAltName'], { input: certChain[0] }).toString();
    expect(names).toContain('URI:spiffe://cluster.local/ns/shop/sa/agent');
    expect(certChain.at(-1)).toBe(readFileSync(join(folder, 'state', 'ca', 'root-cert.pem'), 'utf8'));
  });

  test('gets its Envoy configuration, the name table, and no answer to what it would not acknowledge', async () => {
    // Another pod than in the tests below: a stream that ends before it has answered leaves doubts about its next one.
    using stream = await connectAgent({ ...agentNode, id: 'sidecar~10.213.219.5~agent-2.shop~shop.svc.cluster.local' });
    await synced();
    const { body } = await http({ port: daemon.addresses.monitoring, path: '/debug/syncz' });
    const [status] = JSON.parse(body) as { state: string; resources: Record<string, { sent?: string; state: string }> }[];
    expect(Object.entries(status?.resources ?? {}).map(([type, { sent = '-', state }]) => `${shortName(type)} ${sent} ${state}`)).toEqual([
      'CDS 1 SYNCED',
      'LDS 2 SYNCED',
      'NDS 3 SYNCED',
      'PCDS - SYNCED',
    ]);
    const nextNames = async (): Promise<string[]> => {
      for (;;) {
        const { typeUrl, nonce, resources } = await stream.next();
        stream.send(deltaRequest({ type_url: typeUrl, response_nonce: nonce }));
        if (typeUrl !== nameTableType) continue;
        return Object.keys(fromBinary(NameTableSchema, resources[0]?.resource?.value ?? new Uint8Array()).table).sort();
      }
    };
    const more = join(folder, 'config', 'more.yaml');
    writeFileSync(more, manifests.slice(0, manifests.indexOf('---')).replaceAll('page', 'more').replace('0.1', '0.2'));
    expect(await nextNames()).toEqual(['bank.example', 'more.shop.svc.cluster.local', 'page.shop.svc.cluster.local']);
    rmSync(more);
    expect(await nextNames()).toEqual(['bank.example', 'page.shop.svc.cluster.local']);
  });

  test('takes its certificate from its own socket, and names no filter that its Envoy lacks', async () => {
    using stream = delta(tls, await bearer('shop', 'agent'));
    stream.send(deltaRequest({ node: agentNode, type_url: clusterType }));
    const { resources } = await stream.next();
    const page = resources.find(({ name }) => name === 'outbound|80||page.shop.svc.cluster.local');
    const cluster = fromBinary(ClusterSchema, page?.resource?.value ?? new Uint8Array());
    const mutual = cluster.transportSocketMatches.find(({ name }) => name === 'tlsMode-istio')?.transportSocket?.configType.value;
    expect(Buffer.from(mutual?.value ?? []).toString('latin1')).toContain('sds-grpc');
    stream.send(deltaRequest({ type_url: listenerType }));
    const listeners = Buffer.concat((await stream.next()).resources.map(({ resource }) => resource?.value ?? new Uint8Array())).toString(
      'latin1',
    );
    expect(listeners).toContain('sds-grpc');
    expect([...listeners.matchAll(/istio\.(stats|alpn|metadata_exchange)|envoy\.filters\.http\.(istio\w*|peer_metadata|alpn)/g)]).toEqual(
      [],
    );
  });
});

describe('istioctl', () => {
  test('proxy-status and version: what each proxy was sent and has accepted, and who answers', async () => {
    using _agent = await connectAgent();
    await synced();
    using stream = sotw(tls, await bearer('istio-system', 'default'));
    stream.send(request({ node: istioctlNode, type_url: 'istio.io/debug/syncz', response_nonce: istioctlNonce }));
    const { typeUrl, resources, controlPlane } = await stream.next();
    expect([typeUrl, resources.map((r) => r.typeUrl)]).toEqual(['istio.io/debug/syncz', [typeUrlOf(ClientConfigSchema.typeName)]]);
    const { node, genericXdsConfigs } = fromBinary(ClientConfigSchema, resources[0]?.value ?? new Uint8Array());
    expect([node?.id, node?.metadata]).toEqual(['agent-1.shop', { CLUSTER_ID: 'Kubernetes', NAMESPACE: 'shop', ISTIO_VERSION: '1.32.0' }]);
    expect(genericXdsConfigs.map(({ typeUrl: type, configStatus }) => `${shortName(type)} ${ConfigStatus[configStatus]}`)).toEqual([
      'CDS SYNCED',
      'LDS SYNCED',
      'PCDS SYNCED',
      'NDS SYNCED',
    ]);
    expect(JSON.parse(controlPlane?.identifier ?? '')).toMatchObject({
      Component: 'mizzen',
      Info: { version: expect.stringMatching(/^\d+\.\d+/) },
    });
    // A question and no subscription: the second is answered too, and istioctl is not among the proxies.
    stream.send(request({ type_url: 'istio.io/debug/syncz', response_nonce: istioctlNonce }));
    expect((await stream.next()).resources).toHaveLength(1);
  });

  test("proxy-status of one proxy: Envoy's sections, as that proxy has them, without private keys", async () => {
    using _agent = await connectAgent();
    using stream = sotw(tls, await bearer('istio-system', 'default'));
    const ask = { node: istioctlNode, type_url: 'istio.io/debug/config_dump', response_nonce: istioctlNonce };
    stream.send(request({ ...ask, resource_names: ['agent-1.shop'] }));
    const { resources } = await stream.next();
    expect(resources.map((r) => r.typeUrl.replace(/.*\./, ''))).toEqual([
      'ClustersConfigDump',
      'ListenersConfigDump',
      'RoutesConfigDump',
      'SecretsConfigDump',
    ]);
    const clusters = fromBinary(ClustersConfigDumpSchema, resources[0]?.value ?? new Uint8Array());
    expect(clusters.dynamicActiveClusters.length).toBeGreaterThan(4);
    expect(fromBinary(SecretsConfigDumpSchema, resources[3]?.value ?? new Uint8Array()).dynamicActiveSecrets).toEqual([]);
    stream.send(request({ ...ask, resource_names: ['nobody.shop'] }));
    expect((await stream.next()).resources).toEqual([]);
  });

  test('x internal-debug: the pages of the debug API, and the words that it looks for', async () => {
    using _agent = await connectAgent();
    using stream = sotw(tls, await bearer('istio-system', 'default'));
    const page = async (name: string): Promise<string> => {
      stream.send(request({ node: istioctlNode, type_url: 'istio.io/debug', resource_names: [name], response_nonce: istioctlNonce }));
      const { resources } = await stream.next();
      expect(resources.map((r) => r.typeUrl)).toEqual(['istio.io/debug']);
      return Buffer.from(resources[0]?.value ?? []).toString();
    };
    expect(JSON.parse(await page('list'))).toEqual(
      expect.arrayContaining(['config_dump', 'configz', 'edsz', 'mesh', 'ndsz', 'registryz', 'syncz']),
    );
    const names = JSON.parse(await page('ndsz?proxyID=agent-1.shop')) as { configs: { table: object }[] };
    expect(Object.keys(names.configs[0]?.table ?? {}).sort()).toEqual(['bank.example', 'page.shop.svc.cluster.local']);
    expect(await page('edsz')).toContain('You must provide a proxyID in the query string');
    expect(await page('edsz?proxyID=nobody')).toContain(
      'Proxy not connected to this Pilot instance. It may be connected to another instance.',
    );
    expect(await page('no/such/page')).toContain('404 page not found');
  });

  test('a workload sees the proxies of its own namespace only, and nothing of the others', async () => {
    using _agent = await connectAgent();
    await synced();
    const ask = async (namespace: string, json: JsonObject): Promise<DiscoveryResponse | ServiceError> => {
      using stream = sotw(tls, await bearer(namespace, 'default'));
      stream.send(request({ node: istioctlNode, response_nonce: istioctlNonce, ...json }));
      return await Promise.race([stream.next(), stream.ended]);
    };
    const page = (name: string): JsonObject => ({ type_url: 'istio.io/debug', resource_names: [name] });
    const names = async (namespace: string): Promise<string> => {
      const answer = await ask(namespace, page('ndsz?proxyID=agent-1.shop'));
      return 'resources' in answer ? Buffer.from(answer.resources[0]?.value ?? []).toString() : answer.details;
    };
    expect(await names('shop')).toContain('bank.example');
    expect(await names('other')).toContain('Proxy not connected to this Pilot instance');
    for (const name of ['syncz', 'configz', 'list', 'nosuch', '../syncz'])
      expect(await ask('shop', page(name))).toMatchObject({
        code: 7,
        details: expect.stringContaining('not available for current identity'),
      });
    expect(await ask('shop', { type_url: 'istio.io/debug/syncz' })).toMatchObject({ resources: [{}] });
    expect(await ask('other', { type_url: 'istio.io/debug/syncz' })).toMatchObject({ resources: [] });
    expect(await ask('other', { type_url: 'istio.io/debug/config_dump', resource_names: ['agent-1.shop'] })).toMatchObject({
      resources: [],
    });
  });

  test('what is no debug request is refused with a reason', async () => {
    const metadata = await bearer('istio-system', 'default');
    const ask = async (json: JsonObject): Promise<[number, string]> => {
      using stream = sotw(tls, metadata);
      stream.send(request({ node: istioctlNode, ...json }));
      const { code, details } = await stream.ended;
      return [code, details];
    };
    expect(await ask({ type_url: 'istio.io/debug' })).toEqual([3, 'exactly one debug request is required']);
    expect(await ask({ type_url: 'istio.io/debug', resource_names: ['a', 'b'] })).toEqual([
      3,
      expect.stringContaining('one resource name'),
    ]);
    expect(await ask({ type_url: 'istio.io/debug', resource_names: ['x'.repeat(4097)] })).toEqual([3, expect.stringContaining('4096')]);
    expect(await ask({ type_url: 'istio.io/debug/nosuch' })).toEqual([3, expect.stringContaining('istio.io/debug/syncz')]);
    using open = sotw(plaintext, new Metadata());
    open.send(request({ node: istioctlNode, type_url: 'istio.io/debug/syncz' }));
    expect(await open.ended).toMatchObject({ code: 16, details: 'debug types need an identity that is proven over TLS' });
    using own = delta(tls, metadata);
    own.send(deltaRequest({ type_url: 'istio.io/debug', resource_names_subscribe: ['mesh'] }));
    const { resources } = await own.next();
    expect(resources.map(({ name, resource }) => [name, resource?.typeUrl])).toEqual([['mesh', 'istio.io/debug']]);
  });
});

test('/version has the form of istiod for whom does not ask for JSON', async () => {
  // With two slashes, as istioctl asks for it through a forwarded port.
  const { body } = await http({ port: daemon.addresses.monitoring, path: '//version' });
  expect(body).toMatch(/^\d+\.\d+\.\d+\S*-unknown-unknown$/);
});
