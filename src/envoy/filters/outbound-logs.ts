import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import { accessLogs } from './access-log.ts';

/** Logs of what a workload sends: the access log, and Istio's metrics by the stats access logger. */
export function outboundLogs(mesh: MeshConfig): {
  readonly httpAccessLogs: readonly AccessLog[];
  readonly tcpAccessLogs: readonly AccessLog[];
} {
  return { httpAccessLogs: accessLogs(mesh), tcpAccessLogs: accessLogs(mesh) };
}
