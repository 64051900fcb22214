/** The status of the certificate authority for people. */
import type { CaStatus, ReplicaStatus, RootStatus } from '../../ca/status.ts';
import { render, table, type Column, type OutputFormat } from '../output.ts';

const steps = ['staged', 'distributed', 'signing', 'retired'] as const;

const rootColumns: readonly Column<RootStatus>[] = [
  { title: 'ROOT', value: (root) => root.id },
  { title: 'ROLE', value: (root) => root.role },
  { title: 'EXPIRES', value: (root) => root.notAfter },
  { title: 'SUBJECT', value: (root) => root.subject },
];

const replicaColumns: readonly Column<ReplicaStatus>[] = [
  { title: 'REPLICA', value: (replica) => replica.name },
  { title: 'STATE', value: (replica) => (!replica.live ? 'gone' : replica.follows ? 'follows' : 'behind') },
  { title: 'PROXIES', value: (replica) => String(replica.proxies) },
  { title: 'AGENTS', value: (replica) => String(replica.agents) },
  { title: 'WITHOUT ROOTS', value: (replica) => String(replica.withoutRoots) },
  { title: 'WITHOUT CERTIFICATE', value: (replica) => String(replica.withoutLeaf) },
];

export function statusText(status: CaStatus, format: OutputFormat): string {
  if (format !== 'table') return render(format, [], [], status);
  const { phase, signer, rotation } = status;
  const line = steps.map((step) => (step === phase ? `[${step}]` : step)).join(' -> ');
  const parts = [
    `${line}${phase === 'stable' ? '   (no rotation)' : ''}\n`,
    rotation === undefined ? '' : rotationText(rotation),
    `signer ${signer.generation}, ${signer.origin}, until ${signer.notAfter}\n`,
    `\n${table(status.roots, rootColumns)}`,
    status.replicas.length === 0 ? '' : `\n${table(status.replicas, replicaColumns)}`,
    list('waits for', status.waits),
    list('lagging proxies', status.lagging),
  ];
  return parts.join('');
}

function rotationText({
  from,
  to,
  reason,
  stagedAt,
  distributedAt,
  signingAt,
  retiredAt,
  abortedAt,
}: NonNullable<CaStatus['rotation']>): string {
  const times = Object.entries({
    staged: stagedAt,
    distributed: distributedAt,
    signing: signingAt,
    retired: retiredAt,
    aborted: abortedAt,
  });
  const told = times.flatMap(([step, at]) => (at === undefined ? [] : [`${step} ${at}`]));
  return `from ${from} to ${to} (${reason}): ${told.join(', ')}\n`;
}

function list(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `\n${title}:\n${items.map((item) => `  ${item}\n`).join('')}`;
}
