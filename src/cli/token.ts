/** `mizzen token`: a service account token that a control plane with the same state folder accepts. */
import { homedir } from 'node:os';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { IssuedToken } from '../identity/localtoken.ts';
import { replaceStateFile } from '../identity/privatefile.ts';
import { defaultAudience } from '../identity/proof.ts';
import { defaultStateFolder } from '../identity/statefolder.ts';
import { parseDuration } from './duration.ts';
import { parsed } from './options.ts';

interface Options {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ttl: number;
  readonly audience: string;
  readonly pod?: string;
  readonly state?: string;
  readonly file?: string;
  readonly output?: Format;
}

type Format = 'table' | 'json' | 'yaml';

interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** A file that the output goes to holds the token and no line end, as Kubernetes writes it: Envoy puts all of the file into a header. */
  readonly terminal: boolean;
}

export function tokenCommand(): Command {
  const command = new Command('token')
    .description('print a token for a service account, signed with the key of the state folder')
    .option('-n, --namespace <namespace>', 'namespace of the service account', 'default')
    .requiredOption('--service-account <name>', 'the service account')
    .option('--ttl <duration>', 'how long it is valid, 1s to 366d', parsed(parseDuration), 12 * 3600_000)
    .option('--audience <audience>', 'who is to accept it', defaultAudience)
    .option('--pod <name>', 'the pod that it is bound to')
    .option('--state <folder>', 'state folder of the control plane; the default is $MIZZEN_STATE, else ~/.local/state/mizzen')
    .option('--file <path>', 'replace this file (mode 0600) as a whole instead of printing: a running Envoy sees the new token')
    .addOption(
      new Option('-o, --output <format>', 'print what the token says beside it; without: the bare token').choices([
        'table',
        'json',
        'yaml',
      ]),
    )
    .addHelpText(
      'after',
      `
The key is token-key.pem in the state folder, made on first use. Whoever can read it can be anyone in the mesh.

Examples:
  mizzen token --namespace bookshop --service-account reviews > reviews/token
  mizzen token --namespace bookshop --service-account reviews --ttl 1h --file reviews/token
  mizzen token --service-account page -o json`,
    );
  // Commander shows a default as it is stored; people think in hours.
  command.options.find((option) => option.long === '--ttl')?.default(12 * 3600_000, '12h');
  command.action(async (options: Options) => {
    process.stdout.write(await runToken(options, { env: process.env, home: homedir(), terminal: process.stdout.isTTY }));
  });
  return command;
}

/** Issues the token, writes it where that was asked for, and returns what is to be printed. */
export async function runToken(options: Options, surroundings: Surroundings): Promise<string> {
  const { env, home, terminal } = surroundings;
  const { namespace, serviceAccount, ttl, audience, pod, state, file, output } = options;
  const { issueToken } = await import('../identity/localtoken.ts'); // not loaded by the other commands: it takes 70 ms
  const stateDir = state ?? defaultStateFolder(env, home);
  const issued = await issueToken({ namespace, serviceAccount, ttlMs: ttl, audience, stateDir, ...(pod !== undefined && { pod }) });
  if (file !== undefined) replaceStateFile(file, issued.token, 'secret');
  if (output !== undefined) return format(issued, output, file);
  return file === undefined ? `${issued.token}${terminal ? '\n' : ''}` : '';
}

function format(issued: IssuedToken, output: Format, file: string | undefined): string {
  const facts = {
    subject: issued.subject,
    audience: issued.audience,
    expiresAt: issued.expiresAt.toISOString(),
    ...(file === undefined ? { token: issued.token } : { file }),
  };
  if (output === 'json') return `${JSON.stringify(facts, null, 2)}\n`;
  if (output === 'yaml') return stringify(facts, { lineWidth: 0 });
  return Object.entries(facts)
    .map(([key, value]) => `${key.replace(/[A-Z]/g, ' $&').toUpperCase().padEnd(12)}${value}\n`)
    .join('');
}
