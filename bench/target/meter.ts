/** What a server and the real Envoy beside the simulated ones spend while something happens. */
import type { RealEnvoy } from '../envoy/real.ts';
import { eventLoopP99Ms } from './metrics.ts';
import type { Target } from './target.ts';
import { forgetPeak, usageOf } from './usage.ts';

export interface Spent {
  readonly serverCpuMs: number;
  readonly envoyCpuMs: number | undefined;
}

export interface Overall {
  readonly peakRssMb: number;
  /** Undefined where the server does not tell. */
  readonly eventLoopP99Ms: number | undefined;
  readonly envoyRssMb: number | undefined;
}

export class Meter {
  readonly #target: Target;
  readonly #envoy: RealEnvoy | undefined;
  /** Of peaks that the kernel has forgotten. */
  #highestMb = 0;

  constructor(target: Target, envoy: RealEnvoy | undefined) {
    this.#target = target;
    this.#envoy = envoy;
  }

  /** Begins a scenario: its peak and its event loop delay are its own. */
  async begin(): Promise<void> {
    await eventLoopP99Ms(this.#target.metrics);
    this.#highestMb = Math.max(this.#highestMb, usageOf(this.#target.pid).peakRssMb);
    forgetPeak(this.#target.pid);
  }

  async end(): Promise<Overall> {
    const { peakRssMb } = usageOf(this.#target.pid);
    this.#highestMb = Math.max(this.#highestMb, peakRssMb);
    return {
      peakRssMb,
      eventLoopP99Ms: await eventLoopP99Ms(this.#target.metrics),
      envoyRssMb: this.#envoy?.usage().rssMb,
    };
  }

  /** The most that the server has had. */
  get highestRssMb(): number {
    return Math.max(this.#highestMb, usageOf(this.#target.pid).peakRssMb);
  }

  /** CPU time from now on. */
  start(): () => Spent {
    const server = usageOf(this.#target.pid).cpuMs;
    const envoy = this.#envoy?.usage().cpuMs;
    return () => ({
      serverCpuMs: usageOf(this.#target.pid).cpuMs - server,
      envoyCpuMs: this.#envoy === undefined || envoy === undefined ? undefined : this.#envoy.usage().cpuMs - envoy,
    });
  }
}
