/** `mizzen discovery` as a process of its own, on a folder or a cluster. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTokenKey, signToken } from '../../src/identity/localtoken.ts';
import { Discovery } from '../../test/envoy/harness/discovery.ts';
import type { Target } from './target.ts';

export interface MizzenOptions {
  /** Folder of manifests, or a kubeconfig. */
  readonly from: { readonly folder: string } | { readonly kubeconfig: string };
  /** Folder for its state, its log and its profile. */
  readonly work: string;
  readonly tls: boolean;
  /** Flags for node itself, such as `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
}

export async function startMizzen({ from, work, tls, nodeFlags }: MizzenOptions): Promise<Target & AsyncDisposable> {
  const state = join(work, 'state');
  const began = performance.now();
  const discovery = await Discovery.start({
    ...('folder' in from ? { config: from.folder } : { kubeconfig: from.kubeconfig }),
    state,
    log: join(work, 'mizzen.log'),
    flags: ['--log-level', 'warn'],
    // As the Dockerfile starts it.
    env: { NODE_OPTIONS: ['--max-semi-space-size=8', ...nodeFlags].join(' ') },
  });
  const startMs = performance.now() - began;
  const { pid, addresses } = discovery;
  if (pid === undefined) throw new Error('mizzen discovery has no process');
  const { address, adminAddress, grpc, secureGrpc, monitoring } = addresses;
  const dispose = async (): Promise<void> => discovery[Symbol.asyncDispose]();
  const metrics = `http://${adminAddress}:${monitoring}/metrics`;
  const plain = { name: 'mizzen', pid, startMs, metrics, [Symbol.asyncDispose]: dispose };
  if (!tls) return { ...plain, address: `${address}:${grpc}` };
  const secure = { ...plain, tls: true, address: `${address}:${secureGrpc}` };
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
