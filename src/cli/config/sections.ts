import { type OutputFormat, render, table } from '../output.ts';
import { clusterColumns, clusterRows } from './clusters.ts';
import { endpointColumns, endpointRows } from './endpoints.ts';
import { listenerColumns, listenerRows } from './listeners.ts';
import { routeColumns, routeRows } from './routes.ts';
import { secretColumns, secretRows } from './secrets.ts';
import { listAt, textAt } from './json.ts';

interface Section {
  /** Of `envoy.admin.v3`. */
  readonly type: string;
  readonly table: (dump: unknown) => string;
}

/** What can be asked for, in the order in which `all` prints it. */
export const sections = {
  listeners: { type: 'ListenersConfigDump', table: (dump) => table(listenerRows(dump), listenerColumns) },
  routes: { type: 'RoutesConfigDump', table: (dump) => table(routeRows(dump), routeColumns) },
  clusters: { type: 'ClustersConfigDump', table: (dump) => table(clusterRows(dump), clusterColumns) },
  endpoints: { type: 'EndpointsConfigDump', table: (dump) => table(endpointRows(dump), endpointColumns) },
  secrets: { type: 'SecretsConfigDump', table: (dump) => table(secretRows(dump), secretColumns) },
} as const satisfies Readonly<Record<string, Section>>;

export type SectionName = keyof typeof sections;
export const sectionNames = Object.keys(sections) as SectionName[];

/** A dump, or one section of it, as a table that a reader can follow, or whole as JSON or YAML. */
export function dumpText(dump: unknown, name: SectionName | 'all', format: OutputFormat): string {
  const names = name === 'all' ? sectionNames : [name];
  if (format === 'table') return names.map((n) => (name === 'all' ? `${n.toUpperCase()}\n` : '') + sections[n].table(dump)).join('\n');
  const configs = listAt(dump, 'configs').filter((c) => names.some((n) => textAt(c, '@type').endsWith(`.${sections[n].type}`)));
  return render(format, [], [], { configs });
}
