/** `mizzen remote-clusters`: which clusters the control plane reads endpoints of, and how that goes. */
import { Command } from 'commander';
import type { ClusterView } from '../admin/clusterz.ts';
import { addressOption, getJson } from './admin-client.ts';
import { exitCodes, exitCodesHelp } from './exit.ts';
import { type Column, outputOption, type OutputFormat, render } from './output.ts';
import type { HostPort } from './proxy/sockets.ts';

const columns: readonly Column<ClusterView>[] = [
  { title: 'NAME', value: (c) => c.id },
  { title: 'SECRET', value: (c) => c.secretName },
  { title: 'STATUS', value: (c) => c.syncStatus },
  { title: 'SINCE', value: (c) => c.since ?? '' },
  { title: 'ENDPOINTS', value: (c) => String(c.endpoints) },
];

export function remoteClustersCommand(): Command {
  return new Command('remote-clusters')
    .description('print which clusters endpoints are read of, and whether they can be read now')
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
The first is the one whose configuration is read. A remote cluster is synced once it was read, syncing before, and in timeout when it was not read in time.
What was last read of a cluster stays in force while it cannot be read.

Examples:
  mizzen remote-clusters
  mizzen remote-clusters -o json
${exitCodesHelp}`,
    )
    .action(async (options: { address: HostPort; output: OutputFormat }) => {
      const clusters = (await getJson(options.address, '/debug/clusterz')) as readonly ClusterView[];
      process.stdout.write(clustersText(clusters, options.output));
      if (clusters.some((c) => c.fault !== undefined)) process.exitCode = exitCodes.problem;
    });
}

/** The table is followed by what is wrong with clusters. */
export function clustersText(clusters: readonly ClusterView[], format: OutputFormat): string {
  const text = render(format, clusters, columns);
  if (format !== 'table') return text;
  return text + clusters.map(({ id, fault }) => (fault === undefined ? '' : `\n${id} ${fault}\n`)).join('');
}
