/** Services to which nothing can be sent, and endpoints that wait for their pod: counted as they change, so that asking costs nothing. */
import type { Mesh } from '../mesh/mesh.ts';

interface Counts {
  /** Ports of services whose endpoints come from the control plane, without any. */
  readonly emptyEds: number;
  /** Ports of services that are resolved by DNS, without a name to ask for. */
  readonly emptyDns: number;
  /** Endpoints that are left out until their pod is known. */
  readonly pendingPods: number;
  /** Services that have such endpoints. */
  readonly pendingServices: number;
}

const none: Counts = { emptyEds: 0, emptyDns: 0, pendingPods: 0, pendingServices: 0 };

export class EndpointCensus {
  readonly #mesh: Mesh;
  readonly #byService = new Map<string, Counts>();
  #now: Counts = none;
  #everPending = 0;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
    mesh.services.listen((key) => this.#count(key));
    mesh.endpoints.listen((key) => this.#count(key));
    for (const key of mesh.services.keysNow()) this.#count(key);
  }

  /** `everPending`: how many endpoints have ever come before their pod. */
  get figures(): Counts & { readonly everPending: number } {
    return { ...this.#now, everPending: this.#everPending };
  }

  #count(key: string): void {
    const before = this.#byService.get(key) ?? none;
    const counts = this.#countsOf(key);
    if (same(counts, none)) this.#byService.delete(key);
    else this.#byService.set(key, counts);
    this.#everPending += Math.max(0, counts.pendingPods - before.pendingPods);
    this.#now = {
      emptyEds: this.#now.emptyEds + counts.emptyEds - before.emptyEds,
      emptyDns: this.#now.emptyDns + counts.emptyDns - before.emptyDns,
      pendingPods: this.#now.pendingPods + counts.pendingPods - before.pendingPods,
      pendingServices: this.#now.pendingServices + counts.pendingServices - before.pendingServices,
    };
  }

  #countsOf(key: string): Counts {
    const service = this.#mesh.services.peek(key);
    if (service === undefined) return none;
    const { endpoints = [], pendingPods = 0 } = this.#mesh.endpoints.peek(key) ?? {};
    const served = new Set(endpoints.map(({ servicePort }) => servicePort));
    const empty = service.ports.filter(
      ({ name, number, protocol }) => protocol !== 'udp' && !served.has(name === '' ? String(number) : name),
    ).length;
    const isEds = service.resolution === 'eds';
    const isDns = service.resolution === 'dns-strict' || service.resolution === 'dns-logical';
    return { emptyEds: isEds ? empty : 0, emptyDns: isDns ? empty : 0, pendingPods, pendingServices: pendingPods > 0 ? 1 : 0 };
  }
}

function same(a: Counts, b: Counts): boolean {
  return (
    a.emptyEds === b.emptyEds && a.emptyDns === b.emptyDns && a.pendingPods === b.pendingPods && a.pendingServices === b.pendingServices
  );
}
