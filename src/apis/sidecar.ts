import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { connectionPoolSettings } from './traffic-policy.ts';
import { destination } from './virtual-service.ts';
import { list, map, message, oneOfWords, rules, type Spec, string, uint32 } from './schema.ts';
import { selectorWithoutWildcard } from './rules.ts';
import { serverTlsSettings } from './gateway.ts';

export const sidecarPort = message({ name: string(), number: uint32(), protocol: string(), targetPort: uint32() });
export type SidecarPort = Spec<typeof sidecarPort>;

export const istioEgressListener = message(
  { bind: string(), captureMode: oneOfWords(['DEFAULT', 'IPTABLES', 'NONE']), hosts: list(string()), port: sidecarPort },
  ['hosts'],
);
export type IstioEgressListener = Spec<typeof istioEgressListener>;

export const istioIngressListener = message(
  {
    bind: string(),
    captureMode: oneOfWords(['DEFAULT', 'IPTABLES', 'NONE']),
    connectionPool: connectionPoolSettings,
    defaultEndpoint: string(),
    port: sidecarPort,
    tls: serverTlsSettings,
  },
  ['port'],
);
export type IstioIngressListener = Spec<typeof istioIngressListener>;

export const outboundTrafficPolicy = message({ egressProxy: destination, mode: oneOfWords(['REGISTRY_ONLY', 'ALLOW_ANY']) });
export type OutboundTrafficPolicy = Spec<typeof outboundTrafficPolicy>;

export const sidecarSpec = message({
  egress: list(istioEgressListener),
  inboundConnectionPool: connectionPoolSettings,
  ingress: list(istioIngressListener),
  outboundTrafficPolicy,
  workloadSelector: message({ labels: map(string({ ...rules(selectorWithoutWildcard), maxLength: 63 }), { maxProperties: 256 }) }),
});
export type SidecarSpec = Spec<typeof sidecarSpec>;
export type Sidecar = ConfigObject<'Sidecar', SidecarSpec>;

export const sidecar = networkingKind({ kind: 'Sidecar', plural: 'sidecars', schema: sidecarSpec });
