/** `mizzen bootstrap`: a complete configuration for a stock Envoy without an agent, and the flags that go with it. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { stringify } from 'yaml';
import { buildBootstrap } from '../envoy/bootstrap/bootstrap.ts';
import { envoyFlags } from '../envoy/bootstrap/flags.ts';
import { bootstrapToJson, secretFileToJson } from '../envoy/bootstrap/json.ts';
import type { BootstrapOptions, ControlPlaneOptions, JsonValue } from '../envoy/bootstrap/options.ts';
import { parsed } from './options.ts';
import { metadataFromEnvironment, parseMetadata } from './proxy/metadata.ts';
import { type HostPort, parseHostPort, parseSocket } from './proxy/sockets.ts';

interface Options {
  readonly type: 'sidecar' | 'router';
  readonly name: string;
  readonly namespace: string;
  readonly ip: readonly string[];
  readonly serviceAccount: string;
  readonly workload?: string;
  readonly label: Readonly<Record<string, string>>;
  readonly locality: string;
  readonly clusterId: string;
  readonly meshId: string;
  readonly network?: string;
  readonly interceptionMode: string;
  readonly dnsDomain: string;
  readonly metadata: Readonly<Record<string, JsonValue>>;
  readonly controlPlane: HostPort;
  readonly serverName?: string;
  readonly protocol: 'delta' | 'sotw';
  readonly plaintext: boolean;
  readonly root: string;
  readonly token: string;
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  readonly admin: { address: string; port: number };
  readonly prometheus: { address: string; port: number };
  readonly readiness: { address: string; port: number };
  readonly statsPrefix: readonly string[];
  readonly concurrency: number;
  readonly drainTime: number;
  readonly dir?: string;
  readonly output: 'yaml' | 'json';
}

/** Where the files are expected when `--dir` does not say; pilot-agent keeps its configuration there too. */
const defaultDirectory = '/etc/istio/proxy';

export interface Rendered {
  readonly bootstrap: JsonValue;
  /** Content by file name, to lie in `directory`. */
  readonly files: Readonly<Record<string, JsonValue>>;
  readonly directory: string;
  readonly flags: readonly string[];
}

export function bootstrapCommand(): Command {
  const command = new Command('bootstrap')
    .description('print a complete bootstrap for a stock Envoy 1.40 that joins the mesh without an agent')
    .requiredOption('--name <name>', 'name of the pod or workload')
    .option('--namespace <namespace>', 'its namespace', 'default')
    .requiredOption('--ip <address>', 'its address; repeat it for further ones', collect(ipAddress), [])
    .addOption(new Option('--type <type>', 'what the proxy is').choices(['sidecar', 'router']).default('sidecar'))
    .option('--service-account <name>', 'the service account of its identity', 'default')
    .option('--workload <name>', 'name of the workload (Deployment, ...) that it belongs to; the default is --name')
    .option('--label <key=value>', 'a label of the pod; repeat it', keyed(parseText), {})
    .option('--locality <region/zone/subzone>', 'where it runs', '')
    .option('--cluster-id <id>', 'the cluster that it belongs to', 'Kubernetes')
    .option('--mesh-id <id>', 'the mesh', 'cluster.local')
    .option('--network <name>', 'the network that it is in')
    .addOption(
      new Option('--interception-mode <mode>', 'how traffic reaches the proxy').choices(['REDIRECT', 'TPROXY', 'NONE']).default('REDIRECT'),
    )
    .option('--dns-domain <domain>', "the cluster's DNS domain", 'cluster.local')
    .option(
      '--metadata <KEY=value>',
      'a further key of the node metadata; repeat it. ISTIO_META_* is read from the environment',
      keyed(parseMetadata),
      {},
    )
    .option('--control-plane <host:port>', 'where mizzen discovery listens', parsed(parseHostPort), {
      host: 'istiod.istio-system.svc',
      port: 15012,
    })
    .option(
      '--server-name <name>',
      "DNS name in the control plane's certificate; the default is its host, or istiod.istio-system.svc for an IP address",
    )
    .addOption(
      new Option('--protocol <protocol>', 'delta ADS, or the whole state of a type each time').choices(['delta', 'sotw']).default('delta'),
    )
    .option('--plaintext', 'no TLS and no identity (port 15010)', false)
    .option('--root <file>', 'root certificates of the control plane, read again when replaced', '/var/run/secrets/istio/root-cert.pem')
    .option('--token <file>', 'the service account token, read again when replaced', '/var/run/secrets/tokens/istio-token')
    .option('--client-certificate <file>', 'a certificate chain instead of a token')
    .option('--client-key <file>', 'its private key, in the same folder')
    .option('--admin <address:port>', "Envoy's admin", parsed(parseSocket), { address: '127.0.0.1', port: 15000 })
    .option('--prometheus <address:port>', 'serves /stats/prometheus', parsed(parseSocket), { address: '0.0.0.0', port: 15090 })
    .option('--readiness <address:port>', 'serves /healthz/ready', parsed(parseSocket), { address: '0.0.0.0', port: 15021 })
    .option('--stats-prefix <prefix>', 'keep also the stats that begin so; repeat it', collect(String), [])
    .option('--concurrency <threads>', "Envoy's worker threads", parsed(positive), 2)
    .option('--drain-time <seconds>', 'how long replaced listeners live on', parsed(positive), 45)
    .option('--dir <folder>', 'write bootstrap.yaml and the files that it names into this folder and print the command line')
    .addOption(new Option('-o, --output <format>', 'format').choices(['yaml', 'json']).default('yaml'))
    .addHelpText(
      'after',
      `
The root certificate, the token and a client certificate are named in small files beside the bootstrap: only so does Envoy read
them again when they rotate (a rename in their folder, which is also how Kubernetes does it).

Example:
  mizzen token --namespace shop --service-account page > page/token
  mizzen bootstrap --name page-1 --namespace shop --service-account page --ip 10.0.0.5 --label app=page \\
    --root mesh/root-cert.pem --token page/token --control-plane 10.0.0.1:15012 --dir page`,
    );
  command.action(async (options: Options) => {
    const rendered = renderBootstrap(options, process.env);
    if (options.dir === undefined) process.stdout.write(format(rendered, options.output));
    else process.stdout.write(await write(rendered));
  });
  return command;
}

/** The pure part of the command: options and environment in, documents out. */
export function renderBootstrap(options: Options, env: Readonly<Record<string, string | undefined>>): Rendered {
  const directory = options.dir === undefined ? defaultDirectory : resolve(options.dir);
  const { bootstrap, files } = buildBootstrap(bootstrapOptions(options, env, directory));
  return {
    bootstrap: bootstrapToJson(bootstrap),
    files: Object.fromEntries(files.map(({ file, secret }) => [file, secretFileToJson(secret)])),
    directory,
    flags: envoyFlags({ concurrency: options.concurrency, drainSeconds: options.drainTime }),
  };
}

function bootstrapOptions(options: Options, env: Readonly<Record<string, string | undefined>>, directory: string): BootstrapOptions {
  const [first, ...others] = options.ip;
  if (first === undefined) throw new InvalidArgumentError('--ip is needed: the control plane finds the workload by it');
  const [region = '', zone = '', subZone = ''] = options.locality.split('/');
  const workload = options.workload ?? options.name;
  const metadata: Record<string, JsonValue> = {
    WORKLOAD_NAME: workload,
    OWNER: `kubernetes://apis/apps/v1/namespaces/${options.namespace}/deployments/${workload}`,
    LABELS: options.label,
    CLUSTER_ID: options.clusterId,
    MESH_ID: options.meshId,
    INTERCEPTION_MODE: options.interceptionMode,
    ...(options.network === undefined ? {} : { NETWORK: options.network }),
    ENVOY_STATUS_PORT: options.readiness.port,
    ENVOY_PROMETHEUS_PORT: options.prometheus.port,
    ...metadataFromEnvironment(env),
    ...options.metadata,
  };
  return {
    node: {
      type: options.type,
      name: options.name,
      namespace: options.namespace,
      ips: [first, ...others],
      domainSuffix: options.dnsDomain,
      serviceAccount: options.serviceAccount,
      serviceCluster: `${options.label['app'] ?? workload}.${options.namespace}`,
      locality: { region, zone, subZone },
      metadata,
    },
    controlPlane: { ...options.controlPlane, protocol: options.protocol, security: security(options) },
    directory,
    admin: options.admin,
    prometheus: options.prometheus,
    readiness: options.readiness,
    stats: { prefixes: options.statsPrefix, suffixes: [], regexes: [] },
  };
}

function security(options: Options): ControlPlaneOptions['security'] {
  if (options.plaintext) return { kind: 'plaintext' };
  const { clientCertificate, clientKey, controlPlane } = options;
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    throw new InvalidArgumentError('--client-certificate and --client-key belong together: give both or neither');
  }
  return {
    kind: 'tls',
    serverName: options.serverName ?? (isIP(controlPlane.host) === 0 ? controlPlane.host : 'istiod.istio-system.svc'),
    rootFile: resolve(options.root),
    credential:
      clientCertificate !== undefined && clientKey !== undefined
        ? { kind: 'certificate', chainFile: resolve(clientCertificate), keyFile: resolve(clientKey) }
        : { kind: 'token', file: resolve(options.token) },
  };
}

/** The bootstrap alone is not complete: the flags stand above it as a comment, and the contents of the files that it names. */
function format({ bootstrap, files, directory, flags }: Rendered, output: 'yaml' | 'json'): string {
  if (output === 'json') return `${JSON.stringify({ bootstrap, files, directory, flags }, null, 2)}\n`;
  const header = [
    `Run: ${commandLine(directory, flags)}`,
    ...(Object.keys(files).length === 0 ? [] : [`These files must lie in ${directory} (--dir writes them and this one):`]),
    ...Object.entries(files).flatMap(([name, content]) => [
      '',
      `${name}:`,
      ...toYaml(content)
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`),
    ]),
  ];
  return `${header.map((line) => `# ${line}`.trimEnd()).join('\n')}\n${toYaml(bootstrap)}`;
}

function commandLine(directory: string, flags: readonly string[]): string {
  return ['envoy', '-c', join(directory, 'bootstrap.yaml'), ...flags].join(' ');
}

/** Each file whole or not at all: a running Envoy may be watching the folder. */
async function write({ bootstrap, files, directory, flags }: Rendered): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const [name, content] of [...Object.entries(files), ['bootstrap.yaml', bootstrap] as const]) {
    const target = join(directory, name);
    await writeFile(`${target}.partial`, toYaml(content));
    await rename(`${target}.partial`, target);
  }
  return `${commandLine(directory, flags)}\n`;
}

/** Envoy reads YAML 1.1, where a plain `yes`, `on` or `y` (a label's value, say) is a boolean: such text is quoted. */
function toYaml(value: JsonValue): string {
  return stringify(value, { version: '1.1' });
}

function collect<T>(parse: (text: string) => T): (text: string, previous: readonly T[]) => T[] {
  return (text, previous) => [...previous, parsed(parse)(text)];
}

function keyed<T>(
  parse: (text: string) => readonly [string, T],
): (text: string, previous: Readonly<Record<string, T>>) => Record<string, T> {
  return (text, previous) => ({ ...previous, ...Object.fromEntries([parsed(parse)(text)]) });
}

function parseText(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new Error(`"${text}" is not of the form key=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function ipAddress(text: string): string {
  if (isIP(text) === 0) throw new Error(`"${text}" is not an IP address`);
  return text;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`"${text}" is not a whole number above 0`);
  return value;
}
