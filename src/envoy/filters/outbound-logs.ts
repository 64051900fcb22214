import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import { accessLogs } from './access-log.ts';
import { buildStatsLogger } from './stats-logger.ts';

/**
 * Logs of what a workload sends: the access log, and for HTTP Istio's metrics by the stats access logger. Of TCP the callee reports: there is a
 * listener for each service, and the logger's 7 KB in each would be most of what a proxy gets.
 */
export function outboundLogs(mesh: MeshConfig): {
  readonly httpAccessLogs: readonly AccessLog[];
  readonly tcpAccessLogs: readonly AccessLog[];
} {
  const lines = accessLogs(mesh);
  return { httpAccessLogs: [...lines, buildStatsLogger({ reporter: 'source', protocol: 'http' })], tcpAccessLogs: lines };
}
