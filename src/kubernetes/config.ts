/** Where the API server is and who we are to it, by a kubeconfig. */
import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { createRequire } from 'node:module';
import type * as ClientNode from '@kubernetes/client-node';
import { HttpTransport, type HttpTransportOptions } from './http-transport.ts';
import { parseUntrustedKubeconfig } from './untrusted-kubeconfig.ts';

export interface ClusterAccess {
  /** Path. */
  readonly kubeconfig: string;
  /** Default: the kubeconfig's current context. */
  readonly context?: string;
}

export interface ClusterConnection {
  readonly server: string;
  readonly transport: HttpTransport;
}

interface Access {
  readonly server: string;
  readonly credentials: () => Promise<RequestOptions>;
}

/** Throws with the path where the configuration cannot be read or names no cluster. */
export function connectCluster(
  access: ClusterAccess,
  limits: Pick<HttpTransportOptions, 'timeoutMs' | 'maxAnswerBytes' | 'userAgent'> = {},
): ClusterConnection {
  const { server, credentials } = readSelfContained(access) ?? readByLibrary(access);
  return { server, transport: new HttpTransport({ server, credentials, ...limits }) };
}

/** Of a configuration that holds its credentials and points to no file, program or plugin; undefined for all others, good or bad. */
function readSelfContained({ kubeconfig, context }: ClusterAccess): Access | undefined {
  // What cannot be read is for the library to say.
  if (context !== undefined || !existsSync(kubeconfig)) return undefined;
  const { access } = parseUntrustedKubeconfig(readFileSync(kubeconfig, 'utf8'));
  if (access === undefined) return undefined;
  return { server: access.server.replace(/\/$/, ''), credentials: () => Promise.resolve(access.options) };
}

const require = createRequire(import.meta.url);

/** The client brings the types of the whole Kubernetes API, 55 MB: it is loaded where it is needed. */
function readByLibrary({ kubeconfig, context }: ClusterAccess): Access {
  const { KubeConfig } = require('@kubernetes/client-node') as typeof ClientNode;
  const config = new KubeConfig();
  try {
    config.loadFromFile(kubeconfig);
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw new Error(`no access to a cluster from ${kubeconfig}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || !/^https?:\/\//.test(server)) {
    throw new Error(
      `no access to a cluster from ${kubeconfig}: its current context ${JSON.stringify(config.getCurrentContext())} names no server`,
    );
  }
  const credentials = async (): Promise<RequestOptions> => {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  return { server, credentials };
}
