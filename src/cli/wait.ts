/** `mizzen wait`: until every proxy that should have an object's last change has accepted it. */
import { delimiter } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ConvergenceAnswer, LaggingReport, ObjectReport } from '../admin/convergence.ts';
import { findResource, resourceNames, type Resource } from '../apis/resource.ts';
import { objectKey } from '../apis/object.ts';
import { addressOption, getJson } from './admin-client.ts';
import { parseDuration } from './duration.ts';
import { CliError, exitCodes } from './exit.ts';
import { parsed } from './options.ts';
import { outputOption, render, type Column, type OutputFormat } from './output.ts';
import type { HostPort } from './proxy/sockets.ts';
import { judge, type Expected } from './wait/verdict.ts';

interface WaitFlags {
  readonly for: 'converged';
  readonly namespace: string;
  readonly timeout: number;
  readonly deleted?: true;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly kubeconfig?: string;
  readonly address: HostPort;
  readonly output: OutputFormat;
}

/** Between two questions. */
const pollMs = 200;

export function waitCommand(): Command {
  return new Command('wait')
    .description('wait until every proxy that should have the last change of an object has accepted it; deletions too')
    .argument('<kind/name>', 'VirtualService/reviews; kinds also by plural and short name')
    .addOption(new Option('--for <condition>', 'what to wait for').choices(['converged']).default('converged'))
    .option('-n, --namespace <name>', 'of the object', 'default')
    .addOption(new Option('--timeout <duration>', 'how long to wait').argParser(parsed(parseDuration)).default(60_000, '60s'))
    .option('--deleted', 'wait until the control plane has seen that the object is gone, and the proxies have dropped what it led to')
    .option('--resource-version <version>', 'wait until the control plane has seen this version of the object, or a later one')
    .addOption(new Option('--generation <n>', 'the same by metadata.generation').argParser(parsed(parseGeneration)))
    .option('--kubeconfig <file>', "asks the API server which version there is; the default is $KUBECONFIG's first file")
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Only proxies that should receive the object count. The control plane may not have seen yet what was written a moment ago: with a kubeconfig the command
asks the API server for the object's version first (none: it waits for the deletion) and waits until the control plane has seen it. For a folder, say
--deleted for a file that was removed, and note that a file that was just saved is read within about a second.

With several replicas all of them are asked; one that does not answer makes the wait go on.

Examples:
  kubectl apply -f reviews.yaml && mizzen wait --for=converged virtualservice/reviews -n shop
  mizzen wait --for=converged vs/reviews -n shop --deleted --timeout 10s

Exit status: 0 converged, 1 the object is refused by the control plane or by a proxy, 2 the command line is wrong, 3 the control plane does not
answer, 4 not in time: the proxies that lag are listed.`,
    )
    .action(async (target: string, flags: WaitFlags) => {
      const { resource, name } = parseTarget(target);
      const namespace = resource.scope === 'Cluster' ? '' : flags.namespace;
      const expected = await expectedVersion(resource, namespace, name, flags);
      await wait(objectKey(resource.kind, namespace, name), expected, flags);
    });
}

async function wait(object: string, expected: Expected, flags: WaitFlags): Promise<void> {
  const deadlineMs = performance.now() + flags.timeout;
  const show = progress();
  let answered = false;
  for (;;) {
    const answer = await ask(flags.address, object).catch((error: unknown) => {
      // It may be restarting; whether it is there at all is known from the first question.
      if (!answered) throw error;
      return undefined;
    });
    answered = true;
    const report = answer?.objects[0];
    const verdict = answer === undefined || report === undefined ? undefined : judge(report, answer.unanswered, expected);
    if (verdict?.state === 'done' || verdict?.state === 'failed') {
      show('');
      process.stdout.write(reportText(report, verdict.text, flags.output));
      if (verdict.state === 'failed') process.exitCode = exitCodes.problem;
      return;
    }
    show(verdict?.text ?? 'the control plane does not answer');
    if (performance.now() >= deadlineMs) {
      show('');
      process.stdout.write(reportText(report, verdict?.text ?? '', flags.output));
      throw new CliError(
        exitCodes.timeout,
        `${object} has not converged within ${flags.timeout / 1000} s: ${verdict?.text ?? 'the control plane does not answer'}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function ask(address: HostPort, object: string): Promise<ConvergenceAnswer> {
  return (await getJson(address, `/debug/convergence?object=${encodeURIComponent(object)}`)) as ConvergenceAnswer;
}

/** What flags say, else what the API server has now, if there is access to it. */
async function expectedVersion(resource: Resource, namespace: string, name: string, flags: WaitFlags): Promise<Expected> {
  if (flags.deleted === true) return { deleted: true };
  if (flags.resourceVersion !== undefined || flags.generation !== undefined) {
    return {
      ...(flags.resourceVersion !== undefined && { resourceVersion: flags.resourceVersion }),
      ...(flags.generation !== undefined && { generation: flags.generation }),
    };
  }
  const kubeconfig = flags.kubeconfig ?? process.env['KUBECONFIG']?.split(delimiter).find((path) => path !== '');
  if (kubeconfig === undefined) return {};
  const [{ connectCluster }, { KubernetesApi }, { Discovery }, { systemClock }] = await Promise.all([
    import('../kubernetes/config.ts'),
    import('../kubernetes/api.ts'),
    import('../kubernetes/discovery.ts'),
    import('../kubernetes/clock.ts'),
  ]);
  try {
    const { transport } = connectCluster({ kubeconfig });
    const version = await new Discovery({ transport, clock: systemClock }).servedVersion(resource);
    if (version === undefined) return {};
    const { group, plural } = resource;
    const found = await new KubernetesApi({ transport }).get(
      { apiVersion: group === '' ? version : `${group}/${version}`, plural, name, ...(namespace !== '' && { namespace }) },
      AbortSignal.timeout(flags.timeout),
    );
    if (found === undefined) return { deleted: true, unlessFile: true };
    const { resourceVersion, generation } = found.metadata;
    return typeof generation === 'number' ? { generation, unlessFile: true } : { resourceVersion, unlessFile: true };
  } catch (error) {
    throw new CliError(
      exitCodes.unreachable,
      `the API server of ${kubeconfig} does not say which version there is (${(error as Error).message}); say --resource-version, or unset KUBECONFIG`,
      { cause: error },
    );
  }
}

function parseTarget(target: string): { readonly resource: Resource; readonly name: string } {
  const [kind = '', name = '', ...more] = target.split('/');
  const resource = findResource(kind.split('.')[0] ?? '');
  if (name === '' || more.length > 0) throw new CliError(exitCodes.usage, `"${target}" is not KIND/NAME, such as VirtualService/reviews`);
  if (resource === undefined) throw new CliError(exitCodes.usage, `mizzen reads no kind "${kind}"; it reads ${resourceNames().join(', ')}`);
  return { resource, name };
}

function parseGeneration(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError(`"${text}" is no generation`);
  return Number(text);
}

const columns: readonly Column<LaggingReport>[] = [
  { title: 'PROXY', value: (l) => l.proxy.split('~')[2] ?? l.proxy },
  { title: 'STATE', value: (l) => l.state },
  { title: 'TYPE', value: (l) => l.type },
  { title: 'SINCE', value: (l) => l.since },
  { title: 'REPLICA', value: (l) => l.replica },
  { title: 'ERROR', value: (l) => l.error?.replaceAll(/\s+/g, ' ').slice(0, 300) ?? '' },
];

function reportText(report: ObjectReport | undefined, text: string, format: OutputFormat): string {
  if (report === undefined) return '';
  if (format !== 'table') return render(format, [], [], report);
  const lagging = report.lagging.length === 0 ? '' : render('table', report.lagging, columns);
  return `${report.object}: ${text}\n${lagging}`;
}

/** Rewrites one line of a terminal; nothing elsewhere. */
function progress(): (text: string) => void {
  if (!process.stderr.isTTY) return () => undefined;
  return (text) => void process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
}
