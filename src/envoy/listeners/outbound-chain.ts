import type { ObjectKey } from '../../apis/object.ts';
import type { TcpDestination } from '../filters/tcp-proxy.ts';

/** Connections of one service, or of one TCP or TLS route. */
export interface OutboundTcpChain {
  /** Istio: the cluster, or `name.namespace` of the VirtualService where there are several. */
  readonly statPrefix: string;
  readonly destination: TcpDestination;
  /** Server names of TLS that it takes, `*.` in front for all below; absent or `*`: all connections. */
  readonly sniHosts?: readonly string[];
  /** Destinations that it takes, addresses or CIDRs, where the listener is bound to more than they; absent: all. */
  readonly cidrs?: readonly string[];
  readonly idleTimeout?: string;
  readonly maxConnectionDuration?: string;
  readonly hashSourceIp?: boolean;
  /** The VirtualService that made it. */
  readonly config?: ObjectKey;
}
