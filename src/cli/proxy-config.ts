/** `mizzen proxy-config`: what the control plane gives a connected proxy. */
import { Argument, Command } from 'commander';
import { addressOption, getJson } from './admin-client.ts';
import { dumpText, sectionNames, type SectionName } from './config/sections.ts';
import { exitCodesHelp } from './exit.ts';
import { outputOption, type OutputFormat } from './output.ts';
import type { HostPort } from './proxy/sockets.ts';

export function proxyConfigCommand(): Command {
  return new Command('proxy-config')
    .aliases(['pc'])
    .description('print the configuration that a connected proxy is given')
    .addArgument(new Argument('<section>', 'what of it').choices([...sectionNames, 'all']))
    .argument('<proxy>', 'name.namespace, or part of a connection id')
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
JSON and YAML are in the form of Envoy's own /config_dump; private keys are left out.

Examples:
  mizzen proxy-config routes page-v1.bookshop
  mizzen proxy-config all gateway.bookshop -o json > gateway.json
${exitCodesHelp}`,
    )
    .action(async (section: SectionName | 'all', proxy: string, options: { address: HostPort; output: OutputFormat }) => {
      const dump = await getJson(options.address, `/debug/config_dump?include_eds&explain&proxyID=${encodeURIComponent(proxy)}`);
      process.stdout.write(dumpText(dump, section, options.output));
    });
}
