import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Istio's own boundaries begin at 10 or 100 ms: what takes 2 ms here would be all in the first. Theirs are among these, so that their queries hold. */
export const secondsBuckets: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30];

/** Makes metrics in one registry. */
export class Instruments {
  readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  counter<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return new Counter<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  gauge<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> {
    return new Gauge<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  histogram<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
    buckets: readonly number[] = secondsBuckets,
  ): Histogram<Label> {
    return new Histogram<Label>({ name, help, labelNames, buckets: [...buckets], registers: [this.registry] });
  }

  /** A gauge without labels whose value is asked for at each scrape. */
  read(name: string, help: string, value: () => number): void {
    this.collect<never>(name, help, [], (gauge) => gauge.set(value()));
  }

  /** A counter without labels whose total is asked for at each scrape. */
  total(name: string, help: string, total: () => number): void {
    let told = 0;
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.registry],
      collect: () => {
        const now = total();
        counter.inc(now - told);
        told = now;
      },
    });
  }

  /** A counter with one label whose totals are asked for at each scrape. */
  totals<Label extends string>(name: string, help: string, label: Label, totals: () => ReadonlyMap<string, number>): void {
    const told = new Map<string, number>();
    const counter: Counter<Label> = new Counter<Label>({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => {
        for (const [value, now] of totals()) {
          counter.inc({ [label]: value } as Record<Label, string>, now - (told.get(value) ?? 0));
          told.set(value, now);
        }
      },
    });
  }

  /** A gauge that is filled at each scrape. */
  collect<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    fill: (gauge: Gauge<Label>) => void,
  ): Gauge<Label> {
    const gauge: Gauge<Label> = new Gauge<Label>({ name, help, labelNames, registers: [this.registry], collect: () => fill(gauge) });
    return gauge;
  }
}
