/** Reads what a proxy says of itself into the model's form. */
import type { InterceptionMode, Locality, Proxy } from './model.ts';
import { noLocality } from './model.ts';

const onDemandFilter = 'envoy.filters.http.on_demand';

/** The part of a node that is read; see WIRE facts of istiod: `type~ip~name.namespace~domain` and metadata whose values are strings. */
export interface NodeFacts {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: Locality;
  /** Names of its extensions; undefined when it lists none. */
  readonly extensions?: ReadonlySet<string>;
}

/** The proxy, or what is wrong with the node. */
export function parseProxy(node: NodeFacts): Proxy | { readonly invalid: string } {
  const [type = '', ip = '', id = ''] = node.id.split('~');
  if (type !== 'sidecar' && type !== 'router') {
    return { invalid: `node id "${node.id.slice(0, 100)}" must be type~ip~name.namespace~domain with type sidecar or router` };
  }
  const dot = id.lastIndexOf('.');
  // Not from the domain, as istiod does where there is no metadata: what is proven is held against these two.
  const namespace = text(node.metadata['NAMESPACE']) ?? id.slice(dot + 1);
  if (dot <= 0 || namespace === '') return { invalid: `node id "${node.id.slice(0, 100)}" names no workload and namespace` };
  const addresses = (text(node.metadata['INSTANCE_IPS']) ?? ip).split(',').filter(isAddress);
  if (addresses.length === 0) return { invalid: `node "${node.id.slice(0, 100)}" has no IP address in INSTANCE_IPS or its id` };
  // A number as well as its digits: YAML that a user writes makes it one.
  const port = node.metadata['HTTP_PROXY_PORT'];
  const httpProxyPort = typeof port === 'number' ? port : Number(text(port) ?? '');
  const view = text(node.metadata['REQUESTED_NETWORK_VIEW']);
  const nodeName = text(node.metadata['NODE_NAME']) ?? strings(node.metadata['LABELS'])['kubernetes.io/hostname'];
  return {
    type,
    id: node.id,
    namespace,
    name: text(node.metadata['NAME']) ?? id.slice(0, dot),
    serviceAccount: text(node.metadata['SERVICE_ACCOUNT']) ?? '',
    addresses,
    labels: strings(node.metadata['LABELS']),
    locality: node.locality ?? noLocality,
    network: text(node.metadata['NETWORK']) ?? '',
    ...(view !== undefined && { networkView: view.split(',').map((network) => network.trim()) }),
    ...(nodeName !== undefined && { node: nodeName }),
    interceptionMode: interceptionMode(text(node.metadata['INTERCEPTION_MODE'])),
    capabilities: {
      kind: node.extensions === undefined && node.metadata['ISTIO_VERSION'] !== undefined ? 'istio' : extensionsKind(node.extensions),
      // Only pilot-agent says this, the file name of its socket. Without it secrets come over ADS, which an agent passes on as well.
      ...(text(node.metadata['WORKLOAD_IDENTITY_SOCKET_FILE']) !== undefined && { secrets: 'agent' as const }),
    },
    onDemand: type === 'sidecar' && node.extensions?.has(onDemandFilter) === true,
    nameTable: isTrue(node.metadata['DNS_CAPTURE']) || isTrue(node.metadata['ENABLE_DNS_SERVER']),
    ...(Number.isInteger(httpProxyPort) && httpProxyPort > 0 && httpProxyPort < 65536 ? { httpProxyPort } : {}),
  };
}

function extensionsKind(extensions: ReadonlySet<string> | undefined): 'stock' | 'istio' {
  return extensions?.has('istio.stats') === true && extensions.has('istio.alpn') ? 'istio' : 'stock';
}

function interceptionMode(value: string | undefined): InterceptionMode {
  return value === 'NONE' || value === 'TPROXY' ? value : 'REDIRECT';
}

/** The words that Go reads as true: the agent takes its environment as it is written. */
function isTrue(value: unknown): boolean {
  return value === true || (typeof value === 'string' && /^(1|t|true)$/i.test(value));
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function strings(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** Good enough to tell an address from a name; what the address means is not believed. */
function isAddress(value: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(value) || (value.includes(':') && /^[0-9a-fA-F:.]+$/.test(value));
}
