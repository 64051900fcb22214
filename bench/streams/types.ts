/** The types that a sidecar follows. Own constants: the bench measures any server and knows nothing of ours. */
const prefix = 'type.googleapis.com/envoy.config.';

export const clusters = `${prefix}cluster.v3.Cluster`;
export const endpoints = `${prefix}endpoint.v3.ClusterLoadAssignment`;
export const listeners = `${prefix}listener.v3.Listener`;
export const routes = `${prefix}route.v3.RouteConfiguration`;
export const virtualHosts = `${prefix}route.v3.VirtualHost`;
/** Certificates, where the proxy has no agent that gets them. */
export const secrets = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
