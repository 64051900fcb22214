/** The program `mizzen`: one subcommand per file. */
import { Command } from 'commander';
import { benchCommand } from './bench.ts';
import { bootstrapCommand } from './bootstrap.ts';
import { caCommand } from './ca/command.ts';
import { completionCommand } from './completion.ts';
import { demoCommand } from './demo/command.ts';
import { discoveryCommand } from './discovery.ts';
import { exitCodesHelp } from './exit.ts';
import { packageVersion } from './package-version.ts';
import { proxyConfigCommand } from './proxy-config.ts';
import { proxyStatusCommand } from './proxy-status.ts';
import { remoteClustersCommand } from './remote-clusters.ts';
import { replicasCommand } from './replicas.ts';
import { tokenCommand } from './token.ts';
import { topCommand } from './top.ts';
import { translateCommand } from './translate.ts';
import { validateCommand } from './validate.ts';
import { versionCommand } from './version.ts';
import { waitCommand } from './wait.ts';

export function buildProgram(): Command {
  const program = new Command('mizzen')
    .description("An xDS control plane for Envoy: Istio's APIs, pushed at the cost of what changed")
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .showHelpAfterError('(mizzen --help, or mizzen COMMAND --help, explains)')
    .addHelpText('after', exitCodesHelp);
  for (const command of [
    discoveryCommand(),
    bootstrapCommand(),
    tokenCommand(),
    translateCommand(),
    validateCommand(),
    caCommand(),
    proxyStatusCommand(),
    proxyConfigCommand(),
    waitCommand(),
    topCommand(),
    replicasCommand(),
    remoteClustersCommand(),
    versionCommand(),
    completionCommand(() => program),
  ]) {
    program.addCommand(command.copyInheritedSettings(program));
  }
  // They need this repository: its samples, and the bench.
  program.addCommand(demoCommand().copyInheritedSettings(program), { hidden: true });
  program.addCommand(benchCommand().copyInheritedSettings(program).helpOption(false), { hidden: true });
  return program;
}

/** Errors of the command line become CommanderErrors, also in subcommands, so that the caller decides on the exit status. */
export function withoutExit(program: Command): Command {
  program.exitOverride();
  for (const command of program.commands) withoutExit(command);
  return program;
}
