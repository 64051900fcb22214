/** The complete configuration with which a stock Envoy 1.40, without an agent beside it, joins the mesh. */
import { create } from '@bufbuild/protobuf';
import { type Bootstrap, BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { ApiConfigSource_ApiType, ApiVersion, type ConfigSource, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.js';
import { controlPlaneCluster, controlPlaneClusterConfig, controlPlaneFiles } from './control-plane.ts';
import type { FileSecret } from './files.ts';
import { adminClusterConfig, adminPathListener, socketAddress } from './listeners.ts';
import { registerMetricsNamespace } from './metrics-namespace.ts';
import { buildNode } from './node.ts';
import type { BootstrapOptions } from './options.ts';
import { buildStatsConfig } from './stats.ts';

export interface Bootstrapped {
  readonly bootstrap: Bootstrap;
  /** Files that the bootstrap names and that must lie in `BootstrapOptions.directory`. */
  readonly files: readonly FileSecret[];
}

export function buildBootstrap(options: BootstrapOptions): Bootstrapped {
  const { admin, controlPlane } = options;
  const cluster = options.node.metadata['CLUSTER_ID'];
  const bootstrap = create(BootstrapSchema, {
    node: buildNode(options.node),
    admin: { address: socketAddress(admin) },
    statsConfig: buildStatsConfig(options.stats),
    bootstrapExtensions: [registerMetricsNamespace()],
    layeredRuntime: {
      layers: [
        // Istio's regular expressions may be larger than Envoy's default of 100 allows.
        { name: 'global config', layerSpecifier: { case: 'staticLayer', value: { 're2.max_program_size.error_level': 32768 } } },
        { name: 'admin', layerSpecifier: { case: 'adminLayer', value: {} } },
      ],
    },
    dynamicResources: {
      adsConfig: {
        apiType: controlPlane.protocol === 'delta' ? ApiConfigSource_ApiType.DELTA_GRPC : ApiConfigSource_ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [
          {
            targetSpecifier: {
              case: 'envoyGrpc',
              value: {
                clusterName: controlPlaneCluster,
                // Envoy's own upper bound of 30 s is long for a mesh whose control plane was only restarted.
                retryPolicy: { retryBackOff: { baseInterval: { nanos: 500_000_000 }, maxInterval: { seconds: 5n } } },
              },
            },
            // Of several clusters the control plane asks the one that is named about the token.
            initialMetadata: typeof cluster === 'string' ? [{ key: 'clusterid', value: cluster }] : [],
          },
        ],
      },
      cdsConfig: overAds(),
      ldsConfig: overAds(),
    },
    staticResources: {
      clusters: [controlPlaneClusterConfig(controlPlane, options.directory), adminClusterConfig(admin)],
      listeners: [
        adminPathListener('prometheus', options.prometheus, '/stats/prometheus', '/stats/prometheus'),
        adminPathListener('readiness', options.readiness, '/healthz/ready', '/ready'),
      ],
    },
  });
  return { bootstrap, files: controlPlaneFiles(controlPlane.security) };
}

/** No initial fetch timeout: a proxy that has never seen its configuration is not ready, it does not serve an empty one. */
function overAds(): ConfigSource {
  return create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: { case: 'ads', value: {} },
    initialFetchTimeout: {},
  });
}
