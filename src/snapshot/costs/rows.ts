/** Costs by object and minute, bounded in time and number. */
import { addCost, noCost, type Cost } from './cost.ts';
import type { OpenFlush } from './open-flush.ts';

export interface RowLimits {
  readonly windowMs: number;
  readonly maxObjects: number;
}

interface Other {
  translationMs: number;
  bytesSent: number;
}

const minuteMs = 60_000;
/** When there are too many rows so many are dropped at once, as sorting them takes time. */
const dropped = 0.1;

export class CostRows {
  private readonly limits: RowLimits;
  private rows = new Map<string, Map<number, Cost>>();
  private readonly others = new Map<number, Other>();
  private minute = 0;
  private forgotten = 0;

  constructor(limits: RowLimits) {
    this.limits = limits;
  }

  add(flush: OpenFlush): void {
    const minute = minuteOf(flush.atMs);
    this.expire(minute);
    for (const [object, cost] of flush.costs()) {
      let minutes = this.rows.get(object);
      if (minutes === undefined) this.rows.set(object, (minutes = new Map()));
      const known = minutes.get(minute);
      if (known === undefined) minutes.set(minute, { ...cost });
      else addCost(known, cost);
    }
    if (this.rows.size > this.limits.maxObjects) this.shrink();
  }

  addOther(nowMs: number, translationMs: number, bytesSent: number): void {
    const minute = minuteOf(nowMs);
    let other = this.others.get(minute);
    if (other === undefined) {
      this.expire(minute);
      this.others.set(minute, (other = { translationMs: 0, bytesSent: 0 }));
    }
    other.translationMs += translationMs;
    other.bytesSent += bytesSent;
  }

  /** With those that are still open. */
  report(nowMs: number, open: readonly OpenFlush[]) {
    this.expire(minuteOf(nowMs));
    const totals = new Map<string, Cost>();
    const add = (object: string, cost: Cost): void => {
      let total = totals.get(object);
      if (total === undefined) totals.set(object, (total = noCost(cost.changedAtMs)));
      addCost(total, cost);
    };
    for (const [object, minutes] of this.rows) for (const cost of minutes.values()) add(object, cost);
    for (const flush of open) if (this.isShown(minuteOf(flush.atMs))) for (const [object, cost] of flush.costs()) add(object, cost);
    const all = [...totals].map(([object, cost]) => ({ object, ...cost }));
    const rows = all.length <= this.limits.maxObjects ? all : all.sort((a, b) => bytesOf(b) - bytesOf(a)).slice(0, this.limits.maxObjects);
    const other: Other = { translationMs: 0, bytesSent: 0 };
    for (const { translationMs, bytesSent } of this.others.values()) {
      other.translationMs += translationMs;
      other.bytesSent += bytesSent;
    }
    return { rows, forgotten: this.forgotten + all.length - rows.length, other };
  }

  private isShown(minute: number): boolean {
    return minute > this.minute - this.limits.windowMs / minuteMs;
  }

  /** Once a minute. */
  private expire(minute: number): void {
    if (minute <= this.minute) return;
    this.minute = minute;
    for (const [object, minutes] of this.rows) {
      for (const one of minutes.keys()) if (!this.isShown(one)) minutes.delete(one);
      if (minutes.size === 0) this.rows.delete(object);
    }
    for (const one of this.others.keys()) if (!this.isShown(one)) this.others.delete(one);
    if (this.rows.size === 0) this.forgotten = 0;
  }

  private shrink(): void {
    const cost = (minutes: ReadonlyMap<number, Cost>): number => [...minutes.values()].reduce((sum, one) => sum + bytesOf(one), 0);
    const sorted = [...this.rows].map(([object, minutes]) => ({ object, bytes: cost(minutes) })).sort((a, b) => b.bytes - a.bytes);
    for (const { object } of sorted.slice(Math.floor(this.limits.maxObjects * (1 - dropped)))) {
      this.rows.delete(object);
      this.forgotten++;
    }
  }
}

function minuteOf(ms: number): number {
  return Math.floor(ms / minuteMs);
}

function bytesOf({ bytesSent, bytesEncoded }: Cost): number {
  return bytesSent + bytesEncoded;
}
