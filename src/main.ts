#!/usr/bin/env node
import { CommanderError } from 'commander';
import { CliError, exitCodes } from './cli/exit.ts';
import { buildProgram, withoutExit } from './cli/program.ts';
import { CredentialFault } from './identity/fault.ts';

try {
  await withoutExit(buildProgram()).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said what is wrong already; --help and --version end with 0.
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else if (error instanceof CliError) {
    console.error(`mizzen: ${error.message}`);
    process.exitCode = error.exitCode;
  } else if (error instanceof CredentialFault) {
    // It names the file of the state folder and what to do; a stack would only hide that.
    console.error(`mizzen: ${error.message}`);
    process.exitCode = exitCodes.problem;
  } else {
    console.error(error);
    process.exitCode = exitCodes.problem;
  }
}
