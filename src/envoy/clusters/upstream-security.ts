import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { Problem } from '../../apis/problem.ts';
import type { Service } from '../../mesh/model.ts';
import type { EffectivePolicy } from './effective-policy.ts';
import type { MeshSecrets } from '../config-source.ts';
import { byEndpoint, meshTls, originatedTls } from './upstream-tls.ts';

export interface UpstreamSecurityInput {
  readonly mesh: MeshConfig;
  readonly service: Service;
  readonly policy: EffectivePolicy;
  readonly identities: readonly string[];
  readonly sni: string;
  readonly http2: boolean;
  readonly passthrough: boolean;
  readonly secrets: MeshSecrets;
  readonly allMeshTls?: () => boolean;
}

export interface UpstreamSecurity {
  /** Empty for plaintext. */
  readonly transport: Partial<Pick<Cluster, 'transportSocket' | 'transportSocketMatches'>>;
  readonly http: { readonly autoSni: boolean; readonly autoSanValidation: boolean };
}

const noHttp = { autoSni: false, autoSanValidation: false };
const plain: UpstreamSecurity = { transport: {}, http: noHttp };

/** What a DestinationRule asks for; without a word from it, mutual TLS with every endpoint that has a sidecar. */
export function upstreamSecurity(
  input: UpstreamSecurityInput,
): UpstreamSecurity | { problem: Pick<Problem, 'path' | 'reason' | 'message'> } {
  const { policy, service } = input;
  const { tls } = policy;
  if (tls === undefined) return autoMutual(input);
  switch (tls.mode) {
    case 'ISTIO_MUTUAL': {
      const { http2, secrets } = input;
      const identities = tls.subjectAltNames ?? input.identities;
      return { transport: { transportSocket: meshTls({ identities, sni: tls.sni || input.sni, http2, secrets }) }, http: noHttp };
    }
    case 'SIMPLE':
    case 'MUTUAL': {
      if (tls.credentialName) {
        return {
          problem: {
            path: 'tls.credentialName',
            reason: 'NotTranslated',
            message:
              'certificates by credentialName are not given to clients yet, so the cluster is left out; use caCertificates and files instead',
          },
        };
      }
      if (tls.mode === 'MUTUAL' && !(tls.clientCertificate && tls.privateKey)) {
        return {
          problem: {
            path: 'tls',
            reason: 'Invalid',
            message: 'mode MUTUAL needs clientCertificate and privateKey; the cluster is left out',
          },
        };
      }
      const names = tls.subjectAltNames ?? (service.registry === 'ServiceEntry' ? service.subjectAltNames : []);
      const autoSni = !tls.sni;
      return {
        transport: { transportSocket: originatedTls(tls, names, input.http2) },
        http: { autoSni, autoSanValidation: autoSni && names.length === 0 && tls.insecureSkipVerify !== true },
      };
    }
    default:
      return plain;
  }
}

/** Connections that are passed through have no endpoint to look at: mutual TLS only if everything behind the service has a sidecar. */
function autoMutual({ mesh, service, identities, sni, http2, passthrough, secrets, allMeshTls }: UpstreamSecurityInput): UpstreamSecurity {
  if (!mesh.enableAutoMtls || service.meshExternal) return plain;
  if (passthrough && allMeshTls?.() !== true) return plain;
  const names = service.subjectAltNames.length > 0 ? service.subjectAltNames : identities;
  const mutual = meshTls({ identities: names, sni, http2, secrets });
  return { transport: passthrough ? { transportSocket: mutual } : { transportSocketMatches: byEndpoint(mutual) }, http: noHttp };
}
