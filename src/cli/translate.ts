/** `mizzen translate`: what a proxy would get from a folder of manifests, without a daemon and without a network. */
import { Command, Option } from 'commander';
import { configDump, type DumpSubject } from '../admin/dump.ts';
import type { Gateway } from '../apis/gateway.ts';
import type { Problem } from '../apis/problem.ts';
import type { WorkloadEntry } from '../apis/workload-entry.ts';
import { matchesLabels } from '../lib/labels.ts';
import type { Objects } from '../mesh/objects.ts';
import type { ClaimedNode } from '../xds/source.ts';
import { explainColumns, explainRows } from './config/explain.ts';
import { dumpText, sectionNames, type SectionName } from './config/sections.ts';
import { CliError, exitCodes, exitCodesHelp } from './exit.ts';
import { outputOption, type OutputFormat, render } from './output.ts';
import { parseMetadata } from './proxy/metadata.ts';
import { problemsText } from './validate.ts';

interface TranslateOptions {
  readonly proxy: string;
  readonly section: SectionName | 'all';
  readonly explain: boolean;
  readonly meshConfig?: string;
  readonly interceptionMode: 'REDIRECT' | 'TPROXY' | 'NONE';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly output: OutputFormat;
}

export function translateCommand(): Command {
  return new Command('translate')
    .description('print the configuration that a proxy would get from a folder of manifests')
    .argument('<folder>', 'manifests, or one file')
    .requiredOption('--proxy <name>', 'the proxy of this WorkloadEntry: its name, or name.namespace')
    .addOption(new Option('--section <section>', 'what of it').choices([...sectionNames, 'all']).default('all'))
    .option('--explain', 'for each resource the objects that it was made from, with file and line', false)
    .option('--mesh-config <file>', 'a MeshConfig file in place of ConfigMap istio in namespace istio-system')
    .addOption(
      new Option('--interception-mode <mode>', 'how traffic reaches the proxy').choices(['REDIRECT', 'TPROXY', 'NONE']).default('REDIRECT'),
    )
    .option(
      '--metadata <KEY=value>',
      'a key of the node metadata; repeat it',
      (text, previous: Readonly<Record<string, unknown>>) => ({ ...previous, ...Object.fromEntries([parseMetadata(text)]) }),
      {},
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
JSON and YAML are in the form of Envoy's own /config_dump. Problems go to standard error. A workload that a Gateway selects is a gateway, any other
has a sidecar.

Examples:
  mizzen translate deploy/samples/bookshop --proxy page-v1 --interception-mode NONE
  mizzen translate deploy/samples/bookshop --proxy gateway --explain
  mizzen translate . --proxy page-v1.bookshop --section routes -o yaml
${exitCodesHelp}`,
    )
    .action(async (folder: string, options: TranslateOptions) => {
      const { text, problems } = await translate(folder, options);
      process.stdout.write(text);
      if (problems.length > 0) process.stderr.write(`\n${problemsText(problems, undefined, 'table')}`);
      if (problems.some((p) => p.severity === 'error')) process.exitCode = exitCodes.problem;
    });
}

async function translate(folder: string, options: TranslateOptions): Promise<{ text: string; problems: readonly Problem[] }> {
  // Not loaded by the other commands: it brings all translators.
  const { offlineMesh } = await import('../discovery/offline.ts');
  const mesh = await offlineMesh(folder, options.meshConfig).catch((cause: unknown) => {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === undefined) throw cause;
    throw new CliError(exitCodes.usage, (cause as Error).message, { cause });
  });
  const entry = findWorkload(mesh.snapshot.objects, options.proxy);
  const view = mesh.snapshot.open(nodeOf(entry, mesh.snapshot.objects, options), { address: 'offline', secure: true });
  if ('refused' in view) throw new CliError(exitCodes.problem, view.refused);
  const subject: DumpSubject = { parts: view.parts, explain: (type, name) => view.explain(type, name) };
  return { text: textOf(subject, mesh.registry, options), problems: mesh.problems() };
}

function textOf(subject: DumpSubject, registry: Parameters<typeof configDump>[1]['registry'], options: TranslateOptions): string {
  if (options.explain && options.output === 'table') return render('table', explainRows(subject), explainColumns);
  return dumpText(configDump(subject, { registry, explain: options.explain, endpoints: true }), options.section, options.output);
}

function findWorkload(objects: Objects, wanted: string): WorkloadEntry {
  const all: WorkloadEntry[] = [];
  for (const key of objects.kinds.WorkloadEntry.keysNow()) {
    const entry = objects.kinds.WorkloadEntry.peek(key);
    if (entry !== undefined) all.push(entry);
  }
  const names = all.map((e) => `${e.name}.${e.namespace}`).sort();
  const found = all.filter((e) => wanted === e.name || wanted === `${e.name}.${e.namespace}`);
  const [entry] = found;
  if (entry === undefined) throw new CliError(exitCodes.usage, `no WorkloadEntry "${wanted}"; there are ${names.join(', ') || 'none'}`);
  if (found.length > 1)
    throw new CliError(exitCodes.usage, `several namespaces have a WorkloadEntry "${wanted}"; say which: NAME.NAMESPACE`);
  return entry;
}

/** The node that a proxy beside this workload would claim. */
function nodeOf(entry: WorkloadEntry, objects: Objects, options: TranslateOptions): ClaimedNode {
  const { address = '0.0.0.0', labels = {}, serviceAccount = 'default', locality = '', network } = entry.spec;
  const [region = '', zone = '', subZone = ''] = locality.split('/');
  const type = isGateway(entry, objects) ? 'router' : 'sidecar';
  return {
    id: `${type}~${address}~${entry.name}.${entry.namespace}~${entry.namespace}.svc.cluster.local`,
    cluster: `${labels['app'] ?? entry.name}.${entry.namespace}`,
    metadata: {
      NAME: entry.name,
      NAMESPACE: entry.namespace,
      SERVICE_ACCOUNT: serviceAccount,
      INSTANCE_IPS: address,
      LABELS: labels,
      INTERCEPTION_MODE: options.interceptionMode,
      ...(network === undefined ? {} : { NETWORK: network }),
      ...options.metadata,
    },
    locality: { region, zone, subZone },
    userAgentName: 'envoy',
    userAgentVersion: '',
  };
}

function isGateway(entry: WorkloadEntry, objects: Objects): boolean {
  for (const key of objects.kinds.Gateway.keysNow()) {
    const gateway: Gateway | undefined = objects.kinds.Gateway.peek(key);
    const selector = gateway?.spec.selector;
    if (selector !== undefined && matchesLabels(selector, entry.spec.labels ?? {})) return true;
  }
  return false;
}
