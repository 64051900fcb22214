/** `mizzen validate`: the checks that the daemon makes on what it reads, without a daemon. */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { type ObjectKey, originText } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { type LoadedDirectory, loadDirectory } from '../sources/directory/load.ts';
import { CliError, exitCodes, exitCodesHelp } from './exit.ts';
import { type Column, outputOption, type OutputFormat, render } from './output.ts';

const columns: readonly Column<Problem>[] = [
  { title: 'PLACE', value: (p) => (p.origin === undefined ? '' : originText(p.origin)) },
  { title: 'SEVERITY', value: (p) => p.severity },
  { title: 'REASON', value: (p) => p.reason },
  { title: 'OBJECT', value: (p) => objectText(p.object) },
  { title: 'PROBLEM', value: (p) => (p.path === '' ? p.message : `${p.path}: ${p.message}`) },
];

export function validateCommand(): Command {
  return new Command('validate')
    .description('check manifests: syntax, fields, values, what is not translated yet, and in folders what they name of each other')
    .argument('<path...>', 'files, or folders of manifests')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Errors end with status 1; warnings (unknown fields, fields without effect, names that nothing has) do not. Names of other objects are looked up
only where a folder is given: a file alone need not hold what it names.

Examples:
  mizzen validate deploy/samples/bookshop
  mizzen validate reviews.yaml page.yaml -o json
${exitCodesHelp}`,
    )
    .action(async (paths: readonly string[], options: { output: OutputFormat }) => {
      const loaded = await Promise.all(paths.map(load));
      const objects = loaded.reduce((n, l) => n + l.objects.length, 0);
      const problems = [...loaded.flatMap((l) => l.problems), ...(await crossProblems(paths, loaded))];
      process.stdout.write(problemsText(problems, objects, options.output));
      if (problems.some((p) => p.severity === 'error')) process.exitCode = exitCodes.problem;
    });
}

async function crossProblems(paths: readonly string[], loaded: readonly LoadedDirectory[]): Promise<Problem[]> {
  const folders = await Promise.all(paths.map(async (path) => (await stat(path)).isDirectory()));
  if (!folders.includes(true)) return [];
  // Not loaded for a file: it brings the whole model.
  const { referenceProblems } = await import('../discovery/offline.ts');
  return referenceProblems(loaded.flatMap((l) => l.objects));
}

/** A CliError where the path itself cannot be read; everything that is wrong in it is a problem. */
export async function load(path: string): Promise<LoadedDirectory> {
  return loadDirectory(path).catch((cause: unknown) => {
    throw new CliError(exitCodes.usage, `${path} cannot be read: ${(cause as Error).message}`, { cause });
  });
}

/** `objects`: how many were read, where that is worth saying. */
export function problemsText(problems: readonly Problem[], objects: number | undefined, format: OutputFormat): string {
  if (format !== 'table') return render(format, [], [], { objects, problems: problems.map(plain) });
  const errors = problems.filter((p) => p.severity === 'error').length;
  const summary = `${objects === undefined ? '' : `${objects} objects, `}${errors} errors, ${problems.length - errors} warnings\n`;
  return problems.length === 0 ? summary : `${render(format, problems, columns)}\n${summary}`;
}

/** As plain data: an origin may hold the document's syntax tree. */
export function plain(problem: Problem): Problem {
  const { file, line, resourceVersion } = problem.origin ?? {};
  const origin = {
    ...(file !== undefined && { file }),
    ...(line !== undefined && { line }),
    ...(resourceVersion !== undefined && { resourceVersion }),
  };
  return { ...problem, origin };
}

/** `VirtualService bookshop/reviews`. */
function objectText(key: ObjectKey): string {
  const [kind = '', namespace = '', ...name] = key.split('/');
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name.join('/')}`;
}
