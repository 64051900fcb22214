import type { ServerUnaryCall, ServerDuplexStream, Metadata } from '@grpc/grpc-js';
import { bearerToken } from './authenticator.ts';
import type { CallCredentials } from './proof.ts';

type Call = Pick<ServerUnaryCall<unknown, unknown> | ServerDuplexStream<unknown, unknown>, 'getPeer' | 'getAuthContext'> & {
  readonly metadata: Metadata;
};

/** Where agents of Istio say of which cluster they are. */
const clusterHeader = 'clusterid';
const maxClusterLength = 253;

/**
 * What a gRPC call shows. grpc-js tells of a client certificate only when TLS has already verified it against the roots of its credentials, and
 * of a chain only the leaf: the CertificateVerifier knows the intermediates.
 */
export function credentialsOf(call: Call, secure: boolean): CallCredentials {
  const header = call.metadata.get('authorization').at(0);
  const token = typeof header === 'string' ? bearerToken(header) : undefined;
  const named = call.metadata.get(clusterHeader);
  const cluster = named.length === 1 && typeof named[0] === 'string' ? named[0] : '';
  const leaf = secure ? call.getAuthContext()?.sslPeerCertificate?.raw : undefined;
  return {
    peer: call.getPeer(),
    secure,
    ...(token !== undefined && { bearerToken: token }),
    ...(leaf !== undefined && { clientCertificates: [leaf] }),
    ...(cluster !== '' && cluster.length <= maxClusterLength && { cluster }),
  };
}
