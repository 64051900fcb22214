import { CommanderError } from 'commander';
import { CredentialFault } from '../identity/fault.ts';
import { CliError, exitCodes } from './exit.ts';
import { buildProgram, withoutExit } from './program.ts';

/** Runs one command line. The exit status of the process says how it went, and what went wrong is on standard error. */
export async function runProgram(args: readonly string[]): Promise<void> {
  try {
    await withoutExit(buildProgram()).parseAsync(args, { from: 'user' });
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
}
