/** `/debug/costs`: the objects whose changes have cost most. */
import type { CostReport, CostRow } from '../snapshot/costs/cost-ledger.ts';
import type { Page } from './debug-pages.ts';

export const costOrders = ['bytes', 'time', 'proxies', 'changes'] as const;
export type CostOrder = (typeof costOrders)[number];

export interface CostLine {
  /** `Kind/namespace/name`; `(first load)`: all that was read before the start was complete; `(bulk load)`: a flush of more than 1,000 objects. */
  readonly object: string;
  readonly changes: number;
  readonly translationMs: number;
  readonly resources: number;
  readonly bytesEncoded: number;
  readonly bytesSent: number;
  readonly proxies: number;
  /** Absent while nothing was accepted, as when nothing was sent. */
  readonly lastAckMs?: number;
  readonly refusals: number;
  readonly lastChange: string;
}

export interface CostsAnswer {
  readonly windowSeconds: number;
  readonly by: CostOrder;
  /** With rows that are not shown, and without those that were forgotten. */
  readonly objects: number;
  readonly forgotten: number;
  /** Of no change: first answers of new streams, renewed certificates, parts of new proxies. */
  readonly other: { readonly translationMs: number; readonly bytesSent: number };
  /** Costliest first. */
  readonly costs: readonly CostLine[];
}

const figures: Readonly<Record<CostOrder, (row: CostRow) => number>> = {
  bytes: ({ bytesSent, bytesEncoded }) => bytesSent + bytesEncoded,
  time: ({ translationMs }) => translationMs,
  proxies: ({ proxies }) => proxies,
  changes: ({ changes }) => changes,
};

/** `?by=` and `?n=`; by default all, by bytes. */
export function costsAnswer(report: CostReport, query: URLSearchParams): Page {
  const by = costOrders.find((order) => order === (query.get('by') ?? 'bytes'));
  if (by === undefined) return { status: 400, body: { error: `?by=... takes ${costOrders.join(', ')}` } };
  const n = query.get('n');
  if (n !== null && !/^[1-9][0-9]{0,5}$/.test(n)) return { status: 400, body: { error: '?n=... takes a whole number above 0' } };
  const figure = figures[by];
  const sorted = report.rows.toSorted((a, b) => figure(b) - figure(a) || b.bytesSent - a.bytesSent || (a.object < b.object ? -1 : 1));
  const { windowMs, forgotten, other } = report;
  const body: CostsAnswer = {
    windowSeconds: windowMs / 1000,
    by,
    objects: sorted.length,
    forgotten,
    other: { translationMs: rounded(other.translationMs), bytesSent: Math.round(other.bytesSent) },
    costs: sorted.slice(0, n === null ? undefined : Number(n)).map(lineOf),
  };
  return { status: 200, body };
}

function lineOf({ changedAtMs, ackMs, ...row }: CostRow): CostLine {
  return {
    object: row.object,
    changes: row.changes,
    translationMs: rounded(row.translationMs),
    resources: Math.ceil(row.resources),
    bytesEncoded: Math.round(row.bytesEncoded),
    bytesSent: Math.round(row.bytesSent),
    proxies: row.proxies,
    ...(ackMs !== undefined && { lastAckMs: rounded(ackMs) }),
    refusals: row.refusals,
    lastChange: new Date(changedAtMs).toISOString(),
  };
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
