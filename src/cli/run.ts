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
    } else if (error instanceof CredentialFault || isOfEnvironment(error)) {
      // It names the file, folder or address; a stack would only hide that.
      console.error(`mizzen: ${error.message}`);
      process.exitCode = exitCodes.problem;
    } else {
      console.error(error);
      process.exitCode = exitCodes.problem;
    }
  }
}

/** A file that cannot be read or an address that cannot be bound: the operating system has said no, and the message says to what. */
function isOfEnvironment(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { code } = (error.cause ?? error) as { code?: unknown };
  return typeof code === 'string' && /^E[A-Z]+$/.test(code);
}
