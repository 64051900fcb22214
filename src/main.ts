#!/usr/bin/env -S node --max-semi-space-size=8
// A small young generation, as in the Dockerfile.
// Nothing is imported before the check: on an older Node the modules themselves do not load.
const needed = 24;
const found = Number(process.versions.node.split('.')[0]);
if (found < needed) {
  console.error(
    `mizzen: Node ${needed} or later is needed, this is ${process.version}; in a clone, npx node is the right one after npm ci`,
  );
  process.exitCode = 2;
} else {
  const { runProgram } = await import('./cli/run.ts');
  await runProgram(process.argv.slice(2));
}
