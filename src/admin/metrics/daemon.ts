/** Figures of the daemon that are asked for at each scrape: all are kept up to date elsewhere, none is counted here. */
import type { Instruments } from './instruments.ts';

export interface DaemonFigures {
  /** Streams that have something to send and wait for their turn. */
  waitingStreams(): number;
  /** Bytes of large responses that the network has not taken. */
  bytesInFlight(): number;
  /** Parts that streams read, and the streams of each part, in sum. */
  sharing(): { readonly parts: number; readonly follows: number };
  /** Identities with a certificate for SDS. */
  identities(): number;
  /** Connected sidecars whose workload no service selects. */
  proxiesWithoutService(): number;
}

export function daemonMetrics(make: Instruments, figures: DaemonFigures): void {
  make.read('mizzen_xds_waiting_streams', 'Streams that have something to send and wait for their turn', () => figures.waitingStreams());
  make.read('mizzen_xds_bytes_in_flight', 'Bytes of large responses that the network has not taken', () => figures.bytesInFlight());
  make.read('mizzen_parts', 'Parts of configuration that streams read', () => figures.sharing().parts);
  make.read('mizzen_part_streams', 'Streams of each part, in sum over all parts', () => figures.sharing().follows);
  make.read('mizzen_identities', 'Identities with a certificate for SDS', () => figures.identities());
  make.read('pilot_no_ip', 'Connected sidecars whose workload no service selects', () => figures.proxiesWithoutService());
}
