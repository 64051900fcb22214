/** `mizzen replicas`: the replicas of a control plane, as one of them knows them. */
import { Command } from 'commander';
import type { Replica } from '../controllers/replicas.ts';
import { addressOption, getJson } from './admin-client.ts';
import { exitCodesHelp } from './exit.ts';
import { type Column, outputOption, type OutputFormat, render } from './output.ts';
import type { HostPort } from './proxy/sockets.ts';

/** What `/debug/replicas` answers. */
export interface KnownReplicas {
  readonly self: string;
  /** Empty: none is known to lead. */
  readonly leader: string;
  readonly replicas: readonly Replica[];
}

type Row = Replica & { readonly leads: boolean };

const columns: readonly Column<Row>[] = [
  { title: 'NAME', value: (r) => r.name },
  { title: 'STATE', value: (r) => (!r.live ? 'GONE' : r.ready ? 'READY' : 'NOT READY') },
  { title: 'LEADS', value: (r) => (r.leads ? 'yes' : '') },
  { title: 'STREAMS', value: (r) => String(r.streams) },
  { title: 'VERSION', value: (r) => r.version },
  { title: 'SINCE', value: (r) => r.startedAt },
  { title: 'MONITORING', value: (r) => r.monitoringAddress },
];

export function replicasCommand(): Command {
  return new Command('replicas')
    .description('print the replicas of the control plane, how many proxies each serves, and which one leads')
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
A replica is GONE when its record was not renewed for 15 s; the leader deletes the record after a minute.

Example:
  mizzen replicas --address 127.0.0.1:15014
${exitCodesHelp}`,
    )
    .action(async (options: { address: HostPort; output: OutputFormat }) => {
      process.stdout.write(replicasText((await getJson(options.address, '/debug/replicas')) as KnownReplicas, options.output));
    });
}

export function replicasText({ leader, replicas }: KnownReplicas, format: OutputFormat): string {
  return render(
    format,
    replicas.map((replica): Row => ({ ...replica, leads: replica.name === leader })),
    columns,
  );
}
