/** Versions of the proxies that are connected. */
import type { StreamStatus } from '../../xds/source.ts';

/** A proxy says which version it is: what it says is cut, and of too many versions the rest share one label value. */
const maxVersions = 50;
const maxLength = 64;
const otherVersion = 'other';

export class ProxyVersions {
  /** A version of which the last proxy has gone stays, with 0. */
  readonly counts = new Map<string, number>();
  readonly #versionOf = new Map<StreamStatus, string>();

  connected(stream: StreamStatus): void {
    const said = versionOf(stream);
    const version = this.counts.has(said) || this.counts.size < maxVersions ? said : otherVersion;
    this.#versionOf.set(stream, version);
    this.counts.set(version, (this.counts.get(version) ?? 0) + 1);
  }

  disconnected(stream: StreamStatus): void {
    const version = this.#versionOf.get(stream);
    if (version === undefined) return;
    this.#versionOf.delete(stream);
    this.counts.set(version, (this.counts.get(version) ?? 1) - 1);
  }
}

/** `ISTIO_VERSION` of Istio's proxies, which is what istiod shows; of a stock Envoy `envoy-1.40.0`. */
function versionOf({ subscription: { node } }: StreamStatus): string {
  const istio = node.metadata['ISTIO_VERSION'];
  const version = typeof istio === 'string' && istio !== '' ? istio : `envoy-${node.userAgentVersion}`;
  return version.slice(0, maxLength);
}
