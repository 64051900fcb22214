/** `mizzen discovery` as a process of its own, on a folder or a cluster. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTokenKey, signToken } from '../../src/identity/localtoken.ts';
import { Discovery } from '../../test/envoy/harness/discovery.ts';
import type { Replica, Target } from './target.ts';

export interface MizzenOptions {
  /** Its program; the default is that of the source. */
  readonly main?: string | undefined;
  /** Folder of manifests, or a kubeconfig. */
  readonly from: { readonly folder: string } | { readonly kubeconfig: string };
  /** Folder for its state, its log and its profile. */
  readonly work: string;
  readonly tls: boolean;
  /** Flags for node itself, such as `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
  /** How many of it serve the same. */
  readonly replicas: number;
}

export async function startMizzen(options: MizzenOptions): Promise<Target & AsyncDisposable> {
  const { from, work, tls, replicas } = options;
  await using stack = new AsyncDisposableStack();
  const state = join(work, 'state');
  const started: Discovery[] = [];
  let startMs = 0;
  // One after the other: the first one makes the CA that all of a folder share.
  for (let i = 0; i < replicas; i++) {
    const began = performance.now();
    started.push(stack.use(await startReplica(options, state, i)));
    startMs = performance.now() - began;
  }
  const owned = stack.move();
  const plain = {
    name: 'mizzen',
    startMs,
    replicas: started.map((discovery) => replicaOf(discovery, tls)),
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
  if (!tls) return plain;
  const secure = { ...plain, tls: true };
  // In a cluster the API server makes tokens, and the roots are a ConfigMap.
  if ('kubeconfig' in from) return secure;
  const caFile = join(state, 'ca', 'root-cert.pem');
  const key = loadTokenKey(state);
  return {
    ...secure,
    caFile,
    ca: readFileSync(caFile, 'utf8'),
    token: async ({ namespace, serviceAccount }) => (await signToken(key, { namespace, serviceAccount }, Date.now())).token,
  };
}

function startReplica({ main, from, work, nodeFlags }: MizzenOptions, state: string, replica: number): Promise<Discovery> {
  return Discovery.start({
    ...(main === undefined ? {} : { main }),
    ...('folder' in from ? { config: from.folder } : { kubeconfig: from.kubeconfig }),
    state,
    log: join(work, `mizzen-${replica}.log`),
    flags: ['--log-level', 'warn'],
    // As the Dockerfile starts it.
    env: { NODE_OPTIONS: ['--max-semi-space-size=8', ...nodeFlags].join(' ') },
  });
}

function replicaOf({ pid, addresses }: Discovery, tls: boolean): Replica {
  if (pid === undefined) throw new Error('mizzen discovery has no process');
  const { address, adminAddress, grpc, secureGrpc, monitoring } = addresses;
  return { address: `${address}:${tls ? secureGrpc : grpc}`, pid, metrics: `http://${adminAddress}:${monitoring}/metrics` };
}
