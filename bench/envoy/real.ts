/** A real Envoy that subscribes like the simulated proxies, in a network namespace of its own because it takes the ports of a sidecar. */
import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { Child } from '../../test/envoy/harness/child.ts';
import { Folder, ProjectedVolume } from '../../test/envoy/harness/folder.ts';
import { http } from '../../test/envoy/harness/http.ts';
import { PodNetwork, whyNoPods } from '../../test/envoy/harness/pods.ts';
import { eventually } from '../../test/envoy/harness/wait.ts';
import type { Protocol } from '../streams/response.ts';
import type { Target } from '../target/target.ts';
import { type Usage, usageOf } from '../target/usage.ts';
import type { Mark } from '../workload/mark.ts';
import type { SimulatedProxy } from '../workload/mesh.ts';
import { Relay } from './relay.ts';

export interface RealEnvoyOptions {
  readonly target: Target;
  /** For a target over TLS. */
  readonly token?: (proxy: SimulatedProxy) => Promise<string>;
  readonly workload: SimulatedProxy;
  readonly protocol: Protocol;
  readonly limitMs: number;
}

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const adminPort = 15000;

/** Why there can be none here, if there cannot. */
export const whyNoEnvoy = whyNoPods;

export class RealEnvoy implements AsyncDisposable {
  /** From its start until it was ready, and what that took. */
  readonly start: { readonly ms: number; readonly cpuMs: number; readonly rssMb: number };
  readonly #address: string;
  readonly #pid: number;
  readonly #stack: AsyncDisposableStack;

  private constructor(address: string, pid: number, startMs: number, stack: AsyncDisposableStack) {
    const { cpuMs, rssMb } = usageOf(pid);
    this.start = { ms: startMs, cpuMs, rssMb };
    this.#address = address;
    this.#pid = pid;
    this.#stack = stack;
  }

  /** Returns when it has everything that it needs to be ready. */
  static async start({ target, token, workload, protocol, limitMs }: RealEnvoyOptions): Promise<RealEnvoy> {
    await using stack = new AsyncDisposableStack();
    const network = stack.use(new PodNetwork('bench'));
    const pod = network.pod('envoy');
    const relay = stack.use(await Relay.start(network.testAddress, target.replicas[0]?.address ?? ''));
    const folder = stack.use(new Folder('bench-envoy'));
    const security: string[] = [];
    if (target.caFile === undefined || token === undefined) security.push('--plaintext');
    else {
      new ProjectedVolume(folder.at('tokens')).update({ 'istio-token': await token(workload) });
      security.push('--root', target.caFile, '--token', folder.at('tokens', 'istio-token'));
    }
    const { name, namespace, serviceAccount, address, labels } = workload;
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[main, 'bootstrap', '--dir', folder.path, '--name', name, '--namespace', namespace, '--service-account', serviceAccount],
      ...['--ip', address, ...Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`])],
      ...['--control-plane', `${network.testAddress}:${relay.port}`, '--protocol', protocol, ...security],
      ...['--admin', `${pod.ip}:${adminPort}`, '--concurrency', '1', '--drain-time', '5'],
    ]);
    // Envoy runs as another user, and reads its configuration from here.
    chmodSync(folder.path, 0o755);
    const [, ...args] = stdout.trim().split(' ');
    const beganMs = performance.now();
    const child = stack.use(
      new Child({ command: pod.asProxy([await envoyBinary(), ...args, '-l', 'warning']), log: folder.at('envoy.log') }),
    );
    const ready = async (): Promise<boolean> => {
      if (!child.running) return true;
      return (await http({ address: pod.ip, port: adminPort, path: '/ready' })).status === 200;
    };
    await eventually('Envoy has its configuration', ready, limitMs).catch((fault: unknown) => {
      throw new Error(`${(fault as Error).message}\n${child.tail(20)}`, { cause: fault });
    });
    if (!child.running || child.pid === undefined) throw new Error(`Envoy ended with code ${child.exitCode}\n${child.tail(20)}`);
    return new RealEnvoy(pod.ip, child.pid, performance.now() - beganMs, stack.move());
  }

  usage(): Usage {
    return usageOf(this.#pid);
  }

  /** Whether its configuration shows the mark within the limit. Dumping it is work for it: not while its CPU time is measured. */
  async shows(mark: Mark, limitMs: number): Promise<boolean> {
    const probe = async (): Promise<boolean> => {
      const { body } = await http({ address: this.#address, port: adminPort, path: '/config_dump?include_eds' });
      return shows(body, mark);
    };
    return eventually('Envoy has the change', probe, limitMs).catch(() => false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Names stand in the dump in quotes. */
export function shows(dump: string, mark: Mark): boolean {
  if (mark.kind === 'text') return dump.includes(mark.text);
  const has = (name: string): boolean => dump.includes(`"${name}"`);
  return mark.kind === 'names' ? mark.names.every(has) : !mark.names.some(has);
}
