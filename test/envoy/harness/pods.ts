/**
 * A network of "pods": one network namespace each, joined by a bridge in a namespace of its own, and one link to the namespace of
 * the test, which is how the test reaches every pod directly (as a client without a sidecar, and to ask Envoy's admin).
 *
 *     test 10.213.N.1 --- [bridge in the hub namespace] --- pod a 10.213.N.2
 *                                                      \--- pod b 10.213.N.3
 *
 * Removing the namespaces removes every link, address and rule that was made.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { own } from './owned.ts';

/** Why no pods can be made here; undefined when they can. */
export function whyNoPods(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const [tool, ...args] of [
    ['ip', '-V'],
    ['iptables-restore', '--version'],
    ['setpriv', '--version'],
  ] as const) {
    try {
      execFileSync(tool, args, { stdio: 'ignore' });
    } catch {
      return `${tool} does not run (Debian: apt-get install iproute2 iptables util-linux)`;
    }
  }
  return undefined;
}

const userOfProxy = 1337;

/** Ports of the proxy itself, which are not redirected when a pod is called from outside. */
const ownPorts = [15000, 15020, 15021, 15090];

/** What istio-init installs: outbound TCP to 15001, inbound TCP to 15006, the proxy's own connections left alone. */
const redirectRules = `*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
${ownPorts.map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`).join('\n')}
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -m owner --uid-owner ${userOfProxy} -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner ${userOfProxy} -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner ${userOfProxy} -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
`;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Several `ip` commands in one process. */
function ipBatch(namespace: string | undefined, lines: readonly string[]): void {
  const args = namespace === undefined ? ['-batch', '-'] : ['-n', namespace, '-batch', '-'];
  execFileSync('ip', args, { input: lines.join('\n'), stdio: ['pipe', 'ignore', 'pipe'] });
}

export class Pod {
  readonly name: string;
  readonly ip: string;
  readonly #namespace: string;

  constructor(name: string, address: string, namespace: string) {
    this.name = name;
    this.ip = address;
    this.#namespace = namespace;
  }

  /** The command line that runs `command` in this pod as an application does. */
  asApp(command: readonly string[]): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#namespace, ...command];
  }

  /**
   * The command line that runs `command` as the proxy's user. It may still read root's files: Envoy's binary and the configuration
   * lie in folders that are closed to others.
   */
  asProxy(command: readonly string[]): [string, ...string[]] {
    const user = ['--reuid', String(userOfProxy), '--regid', String(userOfProxy), '--clear-groups'];
    const read = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
    return this.asApp(['setpriv', ...user, ...read, '--', ...command]);
  }

  /** Installs the redirection that istio-init does. */
  redirect(): void {
    const [file, ...args] = this.asApp(['iptables-restore', '--noflush']);
    execFileSync(file, args, { input: redirectRules, stdio: ['pipe', 'ignore', 'pipe'] });
  }
}

export class PodNetwork implements Disposable {
  /** The test's own address in the network, reachable from every pod. */
  readonly testAddress: string;
  readonly #prefix: string;
  readonly #subnet: string;
  readonly #link: string;
  readonly #namespaces: string[] = [];
  readonly #disown: () => void;

  /** `name` tells networks of one test process apart; at most 3 letters of it go into the link's name. */
  constructor(name = 'net') {
    removeLeftovers();
    this.#subnet = freeSubnet();
    this.#prefix = `mz-${process.pid}-${name}`;
    this.testAddress = `${this.#subnet}.1`;
    const hub = this.#addNamespace('hub');
    const link = (this.#link = `mz${process.pid}${name.slice(0, 3)}`);
    this.#disown = own(() => this.#removeDetached());
    ipBatch(hub, ['link add br0 type bridge', 'link set br0 up']);
    ipBatch(undefined, [
      `link add ${link} type veth peer name test netns ${hub}`,
      `addr add ${this.testAddress}/24 dev ${link}`,
      `link set ${link} up`,
    ]);
    ipBatch(hub, ['link set test master br0', 'link set test up']);
  }

  /** At most 250 pods. Without `redirect` the pod has no interception (a client without a sidecar). */
  pod(name: string, options: { readonly redirect: boolean } = { redirect: true }): Pod {
    const index = this.#namespaces.length + 1;
    const address = `${this.#subnet}.${index}`;
    const namespace = this.#addNamespace(name);
    const hub = `${this.#prefix}-hub`;
    ipBatch(namespace, [
      'link set lo up',
      `link add eth0 type veth peer name p${index} netns ${hub}`,
      `addr add ${address}/24 dev eth0`,
      'link set eth0 up',
      // Service addresses have no route of their own: without one a connection fails before it can be redirected.
      `route add default via ${this.testAddress}`,
    ]);
    ipBatch(hub, [`link set p${index} master br0`, `link set p${index} up`]);
    const pod = new Pod(name, address, namespace);
    if (options.redirect) pod.redirect();
    return pod;
  }

  #addNamespace(name: string): string {
    const namespace = `${this.#prefix}-${name}`;
    // Before it exists: a signal that ends `ip` may leave it behind.
    this.#namespaces.push(namespace);
    ip('netns', 'add', namespace);
    return namespace;
  }

  #remove(): void {
    try {
      // The kernel would remove it with the hub, but later.
      ip('link', 'del', this.#link);
    } catch {
      // Not made yet, or gone.
    }
    for (const namespace of this.#namespaces.splice(0)) if (existsSync(`/run/netns/${namespace}`)) ip('netns', 'del', namespace);
  }

  /** When the test is told to end: a process of its own, because the runner gives this one only a moment. */
  #removeDetached(): void {
    const script = 'for name; do ip netns del "$name"; done';
    spawn('sh', ['-c', script, 'sh', ...this.#namespaces.splice(0)], { detached: true, stdio: 'ignore' }).unref();
  }

  [Symbol.dispose](): void {
    this.#remove();
    this.#disown();
  }
}

/** A /24 of 10.213.0.0/16 that no interface of this machine is in. */
function freeSubnet(): string {
  const used = new Set(
    Object.values(networkInterfaces())
      .flat()
      .map((i) => i?.address.split('.').slice(0, 3).join('.')),
  );
  for (let n = process.pid % 256, tries = 0; tries < 256; n = (n + 1) % 256, tries++) {
    if (!used.has(`10.213.${n}`)) return `10.213.${n}`;
  }
  throw new Error('every /24 of 10.213.0.0/16 is in use');
}

/** Namespaces of test runs that were killed before they could clean up. */
function removeLeftovers(): void {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).matchAll(/^(mz-(\d+)-\S+)/gm);
  for (const [, name, pid] of names) {
    if (name !== undefined && pid !== undefined && !isRunning(Number(pid))) ip('netns', 'del', name);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (fault) {
    return (fault as NodeJS.ErrnoException).code === 'EPERM';
  }
}
