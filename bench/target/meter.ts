/** What a control plane and the real Envoy beside the simulated ones spend while something happens. */
import type { RealEnvoy } from '../envoy/real.ts';
import { eventLoopP99Ms } from './metrics.ts';
import type { Replica } from './target.ts';
import { forgetPeak, usageOf } from './usage.ts';

export interface Spent {
  readonly serverCpuMs: number;
  readonly envoyCpuMs: number | undefined;
}

export interface Overall {
  /** Of all replicas in sum. */
  readonly peakRssMb: number;
  /** The longest of a replica; undefined where none tells. */
  readonly eventLoopP99Ms: number | undefined;
  readonly envoyRssMb: number | undefined;
}

export class Meter {
  readonly #replicas: readonly Replica[];
  readonly #envoy: RealEnvoy | undefined;
  /** Of peaks that the kernel has forgotten. */
  #highestMb = 0;

  constructor(replicas: readonly Replica[], envoy: RealEnvoy | undefined) {
    this.#replicas = replicas;
    this.#envoy = envoy;
  }

  /** Begins a scenario: its peak and its event loop delay are its own. */
  async begin(): Promise<void> {
    await this.#eventLoopP99Ms();
    this.#highestMb = this.highestRssMb;
    for (const { pid } of this.#replicas) forgetPeak(pid);
  }

  async end(): Promise<Overall> {
    const peakRssMb = this.#peakRssMb();
    this.#highestMb = Math.max(this.#highestMb, peakRssMb);
    return {
      peakRssMb,
      eventLoopP99Ms: await this.#eventLoopP99Ms(),
      envoyRssMb: this.#envoy?.usage().rssMb,
    };
  }

  /** The most that the replicas have had in sum. */
  get highestRssMb(): number {
    return Math.max(this.#highestMb, this.#peakRssMb());
  }

  /** CPU time from now on. */
  start(): () => Spent {
    const server = this.cpuMs();
    const envoy = this.#envoy?.usage().cpuMs;
    return () => ({
      serverCpuMs: this.cpuMs() - server,
      envoyCpuMs: this.#envoy === undefined || envoy === undefined ? undefined : this.#envoy.usage().cpuMs - envoy,
    });
  }

  /** Of all replicas since their start. */
  cpuMs(): number {
    return this.#replicas.reduce((sum, { pid }) => sum + usageOf(pid).cpuMs, 0);
  }

  #peakRssMb(): number {
    return this.#replicas.reduce((sum, { pid }) => sum + usageOf(pid).peakRssMb, 0);
  }

  async #eventLoopP99Ms(): Promise<number | undefined> {
    const delays = await Promise.all(this.#replicas.map(({ metrics }) => eventLoopP99Ms(metrics)));
    const known = delays.filter((ms) => ms !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  }
}
