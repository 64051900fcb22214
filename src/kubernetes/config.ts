/** Where the API server is and who we are to it, by a kubeconfig. */
import { KubeConfig } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import { HttpTransport, type HttpTransportOptions } from './http-transport.ts';

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

/** Throws with the path where the configuration cannot be read or names no cluster. */
export function connectCluster(
  access: ClusterAccess,
  limits: Pick<HttpTransportOptions, 'timeoutMs' | 'maxAnswerBytes' | 'userAgent'> = {},
): ClusterConnection {
  const config = new KubeConfig();
  const from = access.kubeconfig;
  try {
    config.loadFromFile(access.kubeconfig);
    if (access.context !== undefined) config.setCurrentContext(access.context);
  } catch (error) {
    throw new Error(`no access to a cluster from ${from}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || !/^https?:\/\//.test(server)) {
    throw new Error(
      `no access to a cluster from ${from}: its current context ${JSON.stringify(config.getCurrentContext())} names no server`,
    );
  }
  const credentials = async (): Promise<RequestOptions> => {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  return { server, transport: new HttpTransport({ server, credentials, ...limits }) };
}
