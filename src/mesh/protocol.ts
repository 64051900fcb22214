import type { Protocol } from './model.ts';

const byName: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http2: 'http2',
  grpc: 'grpc',
  'grpc-web': 'grpc-web',
  https: 'https',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'mongo',
  mysql: 'mysql',
  redis: 'redis',
  udp: 'udp',
};

/** `appProtocol` values of Kubernetes and Istio. */
const byAppProtocol: Readonly<Record<string, Protocol>> = {
  ...byName,
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
};

/** Ports that carry a protocol in which the server speaks first: sniffing would wait for a client that waits. */
const wellKnown: Readonly<Record<number, Protocol>> = { 25: 'tcp', 3306: 'mysql', 27017: 'mongo', 53: 'tcp' };

/**
 * Istio's protocol selection: `appProtocol`, else the port name's prefix before `-`, else by well-known port, else `auto` (sniffed).
 * Source: istio.io, "Protocol Selection"; pkg/config/kube/conversion.go.
 */
export function selectProtocol(port: {
  readonly name: string;
  readonly number: number;
  readonly transport?: string | undefined;
  readonly appProtocol?: string | undefined;
}): Protocol {
  if (port.transport === 'UDP') return 'udp';
  if (port.appProtocol !== undefined && port.appProtocol !== '') {
    const declared = byAppProtocol[port.appProtocol.toLowerCase()];
    if (declared !== undefined) return declared;
  }
  const name = port.name.toLowerCase();
  if (name === 'grpc-web' || name.startsWith('grpc-web-')) return 'grpc-web';
  const dash = name.indexOf('-');
  const named = byName[dash < 0 ? name : name.slice(0, dash)];
  return named ?? wellKnown[port.number] ?? 'auto';
}

/** The protocol of a port of an Istio object, where it is a word: `HTTP`, `GRPC-Web`, `TLS`, ... */
export function protocolOf(word: string | undefined): Protocol {
  return byName[(word ?? '').toLowerCase()] ?? 'auto';
}
