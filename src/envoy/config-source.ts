import { create } from '@bufbuild/protobuf';
import { ApiConfigSource_ApiType, ApiVersion, type ConfigSource, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.js';
import { type SdsSecretConfig, SdsSecretConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { Capabilities } from '../mesh/model.ts';
import { noDuration } from './duration.ts';

/**
 * Discovery over the one ADS stream. Without the initial fetch timeout of 15 s: what waits for a resource waits as long as it takes, instead of
 * going live without it.
 */
export function adsSource(): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: { case: 'ads', value: {} },
    initialFetchTimeout: noDuration(),
    resourceApiVersion: ApiVersion.V3,
  });
}

/** The SDS names of a proxy's own certificate and of the roots that it trusts. */
export const ownCertificate = 'default';
export const meshRoots = 'ROOTCA';

/** Where a proxy gets these two from. */
export type MeshSecrets = Capabilities['secrets'];

export function meshSecret(name: typeof ownCertificate | typeof meshRoots, from: MeshSecrets): SdsSecretConfig {
  return create(SdsSecretConfigSchema, { name, sdsConfig: from === 'agent' ? agentSource() : adsSource() });
}

/** The agent's socket, by the cluster that is in every bootstrap of it. */
function agentSource(): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: {
      case: 'apiConfigSource',
      value: {
        apiType: ApiConfigSource_ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'sds-grpc' } } }],
      },
    },
    initialFetchTimeout: noDuration(),
    resourceApiVersion: ApiVersion.V3,
  });
}
