/** Which connections to one inbound port get which filter chain, by mutual TLS mode and protocol. */
import { isHttp, type MtlsMode, type Protocol } from '../../mesh/model.ts';

export interface ChainMatch {
  readonly filter: 'http' | 'tcp';
  readonly transport: 'tls' | 'raw_buffer';
  /** Empty: any, the last resort among the chains of a port and transport. */
  readonly alpn: readonly string[];
  /** The chain ends mutual TLS of the mesh. */
  readonly mutual: boolean;
}

/** Of the mesh, HTTP: Istio's ALPN filter or its stand-in on the client has seen the request. */
const mutualHttp = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
/** Of the mesh, anything else. */
const mutualTcp = ['istio-peer-exchange', 'istio'];
const mutualAny = ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
/** What Envoy's HTTP inspector has found in plaintext. HTTP/1.0 would only be refused, so it passes as TCP. */
const sniffedHttp = ['http/1.1', 'h2c'];

const tls = (filter: 'http' | 'tcp', alpn: readonly string[] = []): ChainMatch => ({ filter, transport: 'tls', alpn, mutual: true });
/** TLS of the application itself, or of a client without sidecar: passed on as it is. */
const foreignTls: ChainMatch = { filter: 'tcp', transport: 'tls', alpn: [], mutual: false };
const plain = (filter: 'http' | 'tcp', alpn: readonly string[] = []): ChainMatch => ({
  filter,
  transport: 'raw_buffer',
  alpn,
  mutual: false,
});

const matches: Record<'http' | 'tcp' | 'auto', Record<MtlsMode, readonly ChainMatch[]>> = {
  http: {
    STRICT: [tls('http')],
    PERMISSIVE: [tls('http', mutualAny), plain('http')],
    DISABLE: [plain('http')],
  },
  tcp: {
    STRICT: [tls('tcp')],
    PERMISSIVE: [tls('tcp', mutualAny), foreignTls, plain('tcp')],
    DISABLE: [plain('tcp')],
  },
  auto: {
    STRICT: [tls('http', mutualHttp), tls('tcp')],
    PERMISSIVE: [tls('http', mutualHttp), plain('http', sniffedHttp), tls('tcp', mutualTcp), plain('tcp'), foreignTls],
    DISABLE: [plain('http', sniffedHttp), plain('tcp')],
  },
};

/**
 * As Istio's. DISABLE of a TCP or sniffed port matches only what the TLS inspector calls plaintext, and without a chain that needs it the
 * inspector is off, so that all is: the application's own TLS reaches it.
 */
export function chainMatches(protocol: Protocol, mtls: MtlsMode): readonly ChainMatch[] {
  return matches[isHttp(protocol) ? 'http' : protocol === 'auto' ? 'auto' : 'tcp'][mtls];
}
