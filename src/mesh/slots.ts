/** The listeners on which a client reaches a service, by Istio's listener names. */
import type { Mesh } from './mesh.ts';
import { isHttp, isTls, type Service, type ServicePort } from './model.ts';

/**
 * `http`: routed by host, all HTTP services of the port share the listener of the wildcard address. `auto`: sniffed. `tls`: chosen by SNI. `tcp`: bytes.
 */
export interface Slot {
  /** `<address>_<port>`, the listener's name. */
  readonly listener: string;
  /** `0.0.0.0` for the wildcard. */
  readonly address: string;
  readonly port: number;
  readonly kind: 'http' | 'auto' | 'tls' | 'tcp';
  readonly servicePort: ServicePort;
  readonly host: string;
  /** Only connections to these ranges, of ServiceEntries that list CIDRs. */
  readonly destinations: readonly string[];
}

export const wildcard = '0.0.0.0';

export function slotsOf(mesh: Mesh, service: Service): Slot[] {
  const slots: Slot[] = [];
  const add = (port: ServicePort, kind: Slot['kind'], address: string, destinations: readonly string[] = []): void => {
    slots.push({
      listener: `${address}_${port.number}`,
      address,
      port: port.number,
      kind,
      servicePort: port,
      host: service.host,
      destinations,
    });
  };
  const virtual = service.addresses.filter((address) => !address.includes('/'));
  const addresses = virtual.filter((address) => mesh.hasAddress(service, address));
  const ranges = service.addresses.filter((address) => address.includes('/'));
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue;
    if (isHttp(port.protocol)) {
      add(port, 'http', wildcard);
      continue;
    }
    const kind = port.protocol === 'auto' ? 'auto' : isTls(port.protocol) ? 'tls' : 'tcp';
    for (const address of addresses) add(port, kind, address);
    if (ranges.length > 0) add(port, kind, wildcard, ranges);
    if (virtual.length > 0 || ranges.length > 0) continue;
    if (service.headless && kind === 'tcp') {
      // Without an address of its own the listener would take the port from every other destination, so there is one for each instance.
      const name = port.name === '' ? String(port.number) : port.name;
      const instances = new Set(
        (mesh.endpoints.get(service.key)?.endpoints ?? []).filter((e) => e.servicePort === name).map((e) => e.address),
      );
      for (const address of [...instances].sort()) add(port, kind, address);
    } else add(port, kind, wildcard);
  }
  return slots;
}

/** Route tables: HTTP ports share one by port; a sniffed port with an address has its own. */
export function routeTable(slot: Slot): string {
  return slot.kind === 'auto' && slot.address !== wildcard ? `${slot.host}:${slot.port}` : String(slot.port);
}
