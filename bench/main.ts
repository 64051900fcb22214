/** `npm run bench`: what connecting and changes cost a control plane. See docs/benchmarks.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { bench } from './bench.ts';
import { benchCommand, type Flags } from './flags.ts';
import { type Budget, breaches, budgetOf, otherRun, parseBudget } from './report/budget.ts';
import { failuresOf, type Report } from './report/result.ts';
import { tableOf } from './report/table.ts';
import { conditionsOf, sizesOf } from './sizes.ts';
import { wrongFlags } from './wrong-flags.ts';

const exitCodes = { problem: 1, usage: 2 } as const;

await benchCommand(async (flags, command) => {
  const wrong = wrongFlags(flags);
  if (wrong !== undefined) command.error(`error: ${wrong}`, { exitCode: exitCodes.usage });
  // Before a run that takes minutes.
  const budget = flags.budget === undefined ? undefined : readBudget(flags, flags.budget, command);
  try {
    const report = await bench(flags, (line) => process.stderr.write(`${line}\n`));
    await show(report, flags);
    const problems = problemsOf(report, budget);
    for (const problem of problems) process.stderr.write(`bench: ${problem}\n`);
    if (problems.length > 0) process.exitCode = exitCodes.problem;
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`);
    process.exitCode = exitCodes.problem;
  }
})
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.usage))
  .parseAsync();

async function show(report: Report, { output, svg, writeBudget }: Flags): Promise<void> {
  if (output === 'table') console.log(tableOf(report));
  else
    console.log(output === 'json' ? JSON.stringify(report, undefined, 2) : stringify(report, { aliasDuplicateObjects: false }).trimEnd());
  if (svg !== undefined) {
    const { svgOf } = await import('./report/picture.ts');
    writeFileSync(svg, await svgOf(report));
  }
  if (writeBudget !== undefined) writeFileSync(writeBudget, `${JSON.stringify(budgetOf(report), undefined, 2)}\n`);
}

function readBudget(flags: Flags, file: string, command: Command): Budget {
  try {
    const budget = parseBudget(readFileSync(file, 'utf8'));
    for (const size of sizesOf(flags)) {
      const wrong = otherRun(budget, conditionsOf(flags), size);
      if (wrong !== undefined) throw new Error(wrong);
    }
    return budget;
  } catch (cause) {
    command.error(`error: ${file}: ${(cause as Error).message}`, { exitCode: exitCodes.usage });
  }
}

function problemsOf(report: Report, budget: Budget | undefined): string[] {
  const failures = failuresOf(report);
  return [
    ...(failures === 0 ? [] : [`${failures} times a change never came to a proxy that it concerned: column "missed"`]),
    ...(budget === undefined ? [] : breaches(budget, report)),
  ];
}
