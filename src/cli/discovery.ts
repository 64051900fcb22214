/** `mizzen discovery`: the daemon. */
import { homedir, hostname } from 'node:os';
import { delimiter, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { parseLogLevels, scopeNames, type LogLevels } from '../admin/log.ts';
import type { ConfigPlace, DiscoveryOptions, Instance, ListenAddress } from '../discovery/options.ts';
import { defaultStateFolder } from '../identity/statefolder.ts';
import { memoryLimitOfGroup } from '../discovery/memory.ts';
import { parseDuration } from './duration.ts';
import { CliError, exitCodes } from './exit.ts';
import { parsed } from './options.ts';
import { packageVersion } from './package-version.ts';
import { parseBytes, parseCount } from './quantity.ts';
import { parseListenAddress } from './proxy/sockets.ts';
import { stopSignal } from './stop-signal.ts';

export interface DiscoveryFlags {
  readonly config?: string;
  readonly state?: string;
  readonly meshConfig?: string;
  readonly namespace?: string;
  readonly revision?: string;
  readonly status: boolean;
  readonly clusterId?: string;
  readonly grpcAddress: ListenAddress;
  readonly secureGrpcAddress: ListenAddress;
  readonly monitoringAddress: ListenAddress;
  readonly httpAddress: ListenAddress;
  readonly certificateTtl: number;
  readonly rootRotationPatience?: number;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
  readonly rootRenewal: number;
  readonly remoteClusterTimeout?: number;
  readonly maxStreams: number;
  readonly maxNewStreams: number;
  readonly maxStreamAge: number;
  readonly drainDuration: number;
  readonly memoryLimit?: number;
  readonly logLevel: LogLevels;
}

export function discoveryCommand(): Command {
  const command = new Command('discovery')
    .description('run the control plane: the objects of a cluster, or manifests in a folder, drive the Envoys that connect')
    .option(
      '--config <folder>',
      'manifests (Kubernetes and Istio objects, YAML or JSON), read and watched; without it the API server of $KUBECONFIG, else of the pod',
    )
    .option(
      '--state <folder>',
      'on a folder: root certificate and token key, made on first use; the default is $MIZZEN_STATE, else ~/.local/state/mizzen',
    )
    .option('--mesh-config <file>', 'a MeshConfig file in place of ConfigMap istio in namespace istio-system')
    .option('--namespace <name>', 'where the control plane lives; the default is $POD_NAMESPACE, else istio-system')
    .option('--no-status', 'write no conditions into the status of objects, and no Events')
    .option('--revision <name>', 'which of several control planes this is; the default is $REVISION, else "default"')
    .option('--cluster-id <id>', 'of the cluster whose API server is read; the default is $CLUSTER_ID, else "Kubernetes"')
    .addOption(listen('--grpc-address', 'xDS in plaintext, without identity and private keys', '127.0.0.1:15010'))
    .addOption(listen('--secure-grpc-address', 'xDS, secrets and certificates over TLS', '0.0.0.0:15012'))
    .addOption(listen('--monitoring-address', '/metrics, /version and /debug', ':15014'))
    .addOption(listen('--http-address', '/ready', ':8080'))
    .addOption(
      new Option('--certificate-ttl <duration>', 'life of workload certificates')
        .argParser(parsed(parseDuration))
        .default(24 * 3600_000, '24h'),
    )
    .option('--tls-cert-file <file>', 'certificate chain for the TLS port, read again as it changes, in place of one of our own')
    .option('--tls-key-file <file>', 'its key')
    .addOption(
      new Option(
        '--root-rotation-patience <duration>',
        'how long a rotation waits for what it cannot see, such as mounted copies of the roots; the default is 2m in a cluster, 1m on a folder',
      ).argParser(parsed(parseDuration)),
    )
    .addOption(
      new Option('--root-renewal <fraction>', 'a self-signed root is replaced when this part of its life is left')
        .argParser(parsed(parseFraction))
        .default(0.2),
    )
    .addOption(
      new Option('--max-streams <number>', 'streams at once; more are refused').argParser(parsed(parseCount)).default(20_000, '20000'),
    )
    .addOption(
      new Option('--max-new-streams <number>', 'new streams a second; those that would wait for more than a second are refused')
        .argParser(parsed(parseCount))
        .default(1_000, '1000'),
    )
    .addOption(
      new Option('--max-stream-age <duration>', 'older streams are ended, so that proxies spread over the replicas anew; 0s: none is')
        .argParser(parsed(parseDuration))
        .default(30 * 60_000, '30m'),
    )
    .addOption(
      new Option('--drain-duration <duration>', 'over which a replica that is stopped ends its streams')
        .argParser(parsed(parseDuration))
        .default(5_000, '5s'),
    )
    .addOption(
      new Option(
        '--memory-limit <bytes>',
        'new streams are refused when nine tenths of it are used; 2Gi, 500M; the default is the limit of the container, if it has one',
      ).argParser(parsed(parseBytes)),
    )
    .addOption(
      new Option(
        '--remote-cluster-timeout <duration>',
        'how long a start waits for clusters of remote secrets; the default is $PILOT_REMOTE_CLUSTER_TIMEOUT, else 10s',
      ).argParser(parsed(parseDuration)),
    )
    .addOption(
      new Option('--log-level <levels>', `a level, or scope:level pairs; scopes: ${scopeNames().join(', ')}`)
        .argParser(parsed(parseLogLevels))
        .default({}, 'info'),
    )
    .addHelpText(
      'after',
      `
An address without a host listens on all of them. SIGTERM and Ctrl-C stop the daemon: it is not ready any more, ends its streams over the
drain duration and exits. A second one ends it at once.

Examples:
  mizzen discovery --config deploy/samples/bookshop
  KUBECONFIG=~/.kube/config mizzen discovery
  mizzen discovery --config /etc/mizzen --state /var/lib/mizzen --log-level warn,ads:debug

Exit status: 0 stopped by a signal, 1 it could not start or go on, 2 the command line is wrong.`,
    );
  command.action(async (flags: DiscoveryFlags) => {
    // V8 lets a heap grow to a multiple of what lives in it before it collects: at 4,000 services 560 MB for 190. This is 350 MB, for a fifteenth more CPU.
    setFlagsFromString('--heap-growing-percent=25');
    // Not loaded by the other commands: it brings gRPC and all translators.
    const { runDiscovery } = await import('../discovery/discovery.ts');
    await runDiscovery(discoveryOptions(flags, process.env, homedir()), stopSignal());
  });
  return command;
}

/** Flags and environment as the daemon takes them: one readonly value, nothing left to look up. */
export function discoveryOptions(flags: DiscoveryFlags, env: Readonly<Record<string, string | undefined>>, home: string): DiscoveryOptions {
  return {
    config: configPlace(flags.config, env),
    instance: instanceOf(flags, env),
    stateDir: resolve(flags.state ?? defaultStateFolder(env, home)),
    ...(flags.meshConfig === undefined ? {} : { meshConfigFile: resolve(flags.meshConfig) }),
    grpc: flags.grpcAddress,
    secureGrpc: flags.secureGrpcAddress,
    monitoring: flags.monitoringAddress,
    http: flags.httpAddress,
    streams: {
      maxStreams: flags.maxStreams,
      maxNewPerSecond: flags.maxNewStreams,
      maxAgeMs: flags.maxStreamAge === 0 ? Infinity : flags.maxStreamAge,
      drainMs: flags.drainDuration,
      ...memoryLimit(flags.memoryLimit ?? memoryLimitOfGroup()),
    },
    remoteClusterTimeoutMs: flags.remoteClusterTimeout ?? remoteClusterTimeout(env),
    writeStatus: flags.status,
    logLevels: flags.logLevel,
    certificateTtlMs: flags.certificateTtl,
    ...servingFiles(flags),
    rotation: {
      ...(flags.rootRotationPatience !== undefined && { patienceMs: flags.rootRotationPatience }),
      renewalFraction: flags.rootRenewal,
    },
    version: packageVersion(),
  };
}

function instanceOf(flags: DiscoveryFlags, env: Readonly<Record<string, string | undefined>>): Instance {
  const { POD_NAME: podName, POD_UID: uid, POD_IP: address } = env;
  return {
    namespace: flags.namespace ?? env['POD_NAMESPACE'] ?? 'istio-system',
    revision: flags.revision ?? env['REVISION'] ?? 'default',
    // It becomes part of the names of objects.
    replica:
      podName ??
      `${hostname()
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .slice(0, 63)}-${process.pid}`,
    ...(podName !== undefined && uid !== undefined && { pod: { name: podName, uid } }),
    ...(address !== undefined && { address }),
    clusterId: flags.clusterId ?? env['CLUSTER_ID'] ?? 'Kubernetes',
  };
}

function memoryLimit(bytes: number | undefined): { readonly memoryLimitBytes?: number } {
  return bytes === undefined ? {} : { memoryLimitBytes: bytes };
}

function remoteClusterTimeout({ PILOT_REMOTE_CLUSTER_TIMEOUT: text }: Readonly<Record<string, string | undefined>>): number {
  if (text === undefined || text === '') return 10_000;
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new CliError(exitCodes.usage, `PILOT_REMOTE_CLUSTER_TIMEOUT: ${(cause as Error).message}`, { cause });
  }
}

function servingFiles({ tlsCertFile: certificateFile, tlsKeyFile: keyFile }: DiscoveryFlags): Pick<DiscoveryOptions, 'servingFiles'> {
  if (certificateFile === undefined && keyFile === undefined) return {};
  if (certificateFile === undefined || keyFile === undefined)
    throw new CliError(exitCodes.usage, '--tls-cert-file and --tls-key-file belong together');
  return { servingFiles: { certificateFile: resolve(certificateFile), keyFile: resolve(keyFile) } };
}

function parseFraction(text: string): number {
  const fraction = Number(text);
  if (text.trim() === '' || !(fraction >= 0 && fraction < 1)) throw new Error(`"${text}" is not a number from 0 to less than 1`);
  return fraction;
}

/** `KUBECONFIG` may be a list of files; the first one counts. */
function configPlace(folder: string | undefined, env: Readonly<Record<string, string | undefined>>): ConfigPlace {
  if (folder !== undefined) return { type: 'folder', dir: resolve(folder) };
  const kubeconfig = env['KUBECONFIG']?.split(delimiter).find((path) => path !== '');
  if (kubeconfig !== undefined) return { type: 'kubernetes', kubeconfig: resolve(kubeconfig) };
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (host !== undefined) return { type: 'in-cluster', host, port: env['KUBERNETES_SERVICE_PORT'] ?? '443' };
  throw new CliError(exitCodes.usage, 'where are the objects? Give --config <folder>, or set KUBECONFIG, or run in a pod of a cluster');
}

function listen(flag: string, what: string, initial: string): Option {
  return new Option(`${flag} <address>`, `${what}, host:port`)
    .argParser(parsed(parseListenAddress))
    .default(parseListenAddress(initial), initial);
}
