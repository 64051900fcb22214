/**
 * Access to the API server from a pod, by its service account: what KubeConfig.loadFromCluster of the client library does, without the types of the whole
 * Kubernetes API, which cost 55 MB of memory in every replica.
 */
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Clock } from './clock.ts';

/** Where a kubelet puts the token, the root certificate and the namespace. */
const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** As client-go: a token is rotated long before it ends. */
const freshMs = 60_000;

export interface InClusterOptions {
  /** `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`. */
  readonly host: string;
  readonly port: string;
  readonly clock: Pick<Clock, 'now'>;
  /** Default: the kubelet's. */
  readonly folder?: string;
}

export interface InClusterAccess {
  readonly server: string;
  /** Read anew once a minute. What cannot be read leaves what was read last; rejects with the file where there is nothing yet. */
  readonly credentials: () => Promise<RequestOptions>;
}

export function inClusterAccess({ host, port, clock, folder = serviceAccountFolder }: InClusterOptions): InClusterAccess {
  let known: RequestOptions | undefined;
  let readAt = -Infinity;
  const read = async (): Promise<RequestOptions> => {
    const [token, ca] = await Promise.all([readFile(join(folder, 'token'), 'utf8'), readFile(join(folder, 'ca.crt'), 'utf8')]);
    return { ca, headers: { authorization: `Bearer ${token.trim()}` } };
  };
  return {
    server: `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    credentials: async () => {
      if (known !== undefined && clock.now() - readAt < freshMs) return known;
      try {
        known = await read();
        readAt = clock.now();
      } catch (error) {
        if (known === undefined) throw new Error(`no access to a cluster: ${(error as Error).message}`, { cause: error });
      }
      return known;
    },
  };
}
