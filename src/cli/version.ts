/** `mizzen version`. */
import { Command } from 'commander';
import { addressOption, getJson } from './admin-client.ts';
import { exitCodesHelp } from './exit.ts';
import { outputOption, type OutputFormat, render } from './output.ts';
import { packageVersion } from './package-version.ts';
import type { HostPort } from './proxy/sockets.ts';
import type { Version } from '../admin/server.ts';
import { supportedEnvoy } from './download/envoy.ts';

interface Row {
  readonly component: string;
  readonly version: string;
  readonly node: string;
  readonly envoy: string;
}

/** What this program is; the daemon answers the same at `/version`. */
export function thisVersion(): Version {
  return { version: packageVersion(), node: process.version, envoy: supportedEnvoy };
}

export function versionCommand(): Command {
  return new Command('version')
    .description('print the version of this program, and of a running control plane')
    .option('--remote', 'ask the control plane too', false)
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  mizzen version
  mizzen version --remote -o json
${exitCodesHelp}`,
    )
    .action(async (options: { remote: boolean; address: HostPort; output: OutputFormat }) => {
      const rows: Row[] = [{ component: 'mizzen', ...thisVersion() }];
      if (options.remote) rows.push({ component: 'control plane', ...((await getJson(options.address, '/version')) as Version) });
      process.stdout.write(
        render(options.output, rows, [
          { title: 'COMPONENT', value: (r) => r.component },
          { title: 'VERSION', value: (r) => r.version },
          { title: 'NODE', value: (r) => r.node },
          { title: 'ENVOY', value: (r) => r.envoy },
        ]),
      );
    });
}
