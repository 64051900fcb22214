/** `mizzen ca`: the root of the mesh, and its rotation. */
import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import type { CaStatus } from '../../ca/status.ts';
import { CliError, exitCodes, exitCodesHelp } from '../exit.ts';
import { outputOption, type OutputFormat } from '../output.ts';
import { openDesk, type CaDesk, type PlaceFlags } from './desk.ts';
import { statusText } from './text.ts';

/** The leader takes a request within a second; a new leader is elected within 15 s. */
const answerMs = 30_000;
const lookMs = 250;

export function caCommand(): Command {
  const command = new Command('ca').description('show the certificate authority of the mesh and rotate its root').addHelpText(
    'after',
    `
In a cluster, status and requests go through the API server, as ConfigMap mizzen-ca in the control plane's namespace: its RBAC decides who may rotate.
On a folder they go through the state folder.

Examples:
  mizzen ca status
  mizzen ca rotate
  mizzen ca rotate --abort`,
  );
  command.addCommand(
    place(new Command('status').description('print which roots are trusted, which one signs, and how far a rotation is'))
      .addOption(outputOption())
      .addHelpText(
        'after',
        `
A new root is staged: proxies get it beside the old one. It is distributed when every proxy has accepted it. Then it is signing, and the old one is
retired when every proxy has accepted a certificate below the new one. A phase ends when nothing is listed under "waits for".
${exitCodesHelp}`,
      )
      .action(async (flags: PlaceFlags & { readonly output: OutputFormat }) => {
        process.stdout.write(statusText(await (await openDesk(flags, process.env, homedir())).status(), flags.output));
      }),
  );
  command.addCommand(
    place(new Command('rotate').description('generate a new self-signed root and begin to rotate to it'))
      .option('--abort', 'withdraw the new root, as long as it does not sign')
      .addHelpText(
        'after',
        `
A root of your own is rotated by putting the new one into Secret cacerts.

Exit status: 0 the rotation has begun or is aborted, 1 it was refused, 2 the command line is wrong or there is no control plane, 3 no answer.`,
      )
      .action(async (flags: PlaceFlags & { readonly abort?: true }) => {
        const desk = await openDesk(flags, process.env, homedir());
        const { request } = await ask(desk, flags.abort === true ? 'abort' : 'rotate');
        process.stdout.write(`${request?.outcome ?? ''}\n`);
        if (request?.outcome.startsWith('refused') === true) process.exitCode = exitCodes.problem;
      }),
  );
  return command;
}

function place(command: Command): Command {
  return command
    .option(
      '--state <folder>',
      'state folder of a control plane that reads a folder; without it the cluster of $KUBECONFIG or of the pod, if there is one',
    )
    .option('--kubeconfig <file>', 'kubeconfig of the cluster; the default is $KUBECONFIG')
    .option('--namespace <name>', 'where the control plane lives; the default is $POD_NAMESPACE, else istio-system');
}

/** Leaves the request and waits until it is answered. */
async function ask(desk: CaDesk, action: 'rotate' | 'abort'): Promise<CaStatus> {
  const id = `${new Date().toISOString()} ${randomUUID()}`;
  await desk.request({ id, action });
  const until = Date.now() + answerMs;
  while (Date.now() < until) {
    const status = await desk.status();
    if (status.request?.id === id) return status;
    await delay(lookMs);
  }
  throw new CliError(
    exitCodes.unreachable,
    `no replica has taken the request within ${answerMs / 1000} s; it stays and is taken when one leads`,
  );
}
