/** What the exit status of every command means; `--help` says so too. */
export const exitCodes = {
  ok: 0,
  /** The command did its work and found something wrong: a proxy out of sync, an invalid object. */
  problem: 1,
  /** The command line is wrong, or names a file or object that is not there. */
  usage: 2,
  /** The control plane does not answer. */
  unreachable: 3,
  /** What was waited for did not come in time. */
  timeout: 4,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with a message on standard error and this status; everything else that is thrown is our own fault and shows its stack. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

export const exitCodesHelp = `
Exit status: 0 all is well, 1 a problem was found, 2 the command line is wrong or names what is not there, 3 the control plane does not answer, 4 what was waited for did not
come in time.`;
