/** Answers the debug types of ADS from the views of the debug API. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ClientConfigSchema, ConfigStatus, type ClientConfig } from '#gen/envoy/service/status/v3/csds_pb.js';
import { encode } from '../wire/encode.ts';
import { debugConfigDumpType, debugSyncType, debugType, typeUrlOf } from '../wire/types.ts';
import type { DebugAnswer, DebugRequest, DebugResource, DebugSource } from '../xds/debug.ts';
import type { StreamStatus, TypeStatus } from '../xds/source.ts';
import { debugPages, inNamespace, type DebugPage } from './debug-pages.ts';
import { findStream } from './streams.ts';
import type { AdminViews } from './views.ts';

export class AdsDebug implements DebugSource {
  readonly #views: AdminViews;
  readonly #pages: ReadonlyMap<string, DebugPage>;

  readonly #systemNamespace: string;
  readonly #onRequest: (request: DebugRequest) => void;

  /**
   * `systemNamespace`: the control plane's own. Whoever has an identity there, or in the mesh's root namespace, may see all. `onRequest` is told of each
   * request, for the log.
   */
  constructor(views: AdminViews, systemNamespace: string, onRequest: (request: DebugRequest) => void) {
    this.#systemNamespace = systemNamespace;
    this.#views = views;
    this.#onRequest = onRequest;
    this.#pages = new Map(debugPages(views).map((page) => [page.name, page]));
  }

  async answer(request: DebugRequest): Promise<DebugAnswer> {
    this.#onRequest(request);
    const { type, name, caller } = request;
    const { namespace, spiffeId } = caller.identity;
    const seesAll = namespace === this.#systemNamespace || namespace === this.#views.meshConfig().rootNamespace;
    const only = seesAll ? undefined : namespace;
    switch (type) {
      case debugSyncType:
        return { resources: inNamespace(this.#views.streams(), only).map(clientConfig) };
      case debugConfigDumpType:
        return { resources: await this.#dump(name ?? '', only) };
      default:
        return this.#page(name, only, spiffeId);
    }
  }

  /** As over HTTP; what is not found there has istiod's text, after which istioctl lists the pages. */
  async #page(name: string | undefined, only: string | undefined, spiffeId: string): Promise<DebugAnswer> {
    if (name === undefined) return { code: 'INVALID_ARGUMENT', refused: 'exactly one debug request is required' };
    const [path = '', query = ''] = name.split('?', 2);
    const page = this.#pages.get(path);
    if (only !== undefined && page?.ofProxy !== true) {
      return { code: 'PERMISSION_DENIED', refused: `the debug info is not available for current identity: ${JSON.stringify(spiffeId)}` };
    }
    const params = new URLSearchParams(query);
    const answer = await page?.answer({ query: params, ...(only !== undefined && { namespace: only }) });
    const text = answer === undefined ? '404 page not found\n' : JSON.stringify(answer.body, null, params.has('pretty') ? 2 : 0);
    return { resources: [{ name, typeUrl: debugType, bytes: Buffer.from(text) }] };
  }

  /** The sections of Envoy's dump; none when there is no such proxy, as istiod has it. */
  async #dump(proxy: string, only: string | undefined): Promise<DebugResource[]> {
    const stream = proxy === '' ? undefined : findStream(inNamespace(this.#views.streams(), only), proxy);
    const sections = stream === undefined ? undefined : await this.#views.dumpMessages(stream.subscription.connectionId);
    return (sections ?? []).map(({ typeUrl, value }) => ({ name: '', typeUrl, bytes: value }));
  }
}

function clientConfig(stream: StreamStatus): DebugResource {
  const { node } = stream.subscription;
  const kept = ['CLUSTER_ID', 'NAMESPACE', 'ISTIO_VERSION'].flatMap((key) => {
    const value = node.metadata[key];
    return typeof value === 'string' ? [[key, value] as const] : [];
  });
  const name = node.id.split('~')[2] ?? node.id;
  const config: ClientConfig = create(ClientConfigSchema, {
    node: { id: name, metadata: Object.fromEntries(kept) },
    genericXdsConfigs: [...stream.types]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([typeUrl, status]) => ({
        typeUrl,
        configStatus: ConfigStatus[status.state],
        ...(status.sentAtMs > 0 && { lastUpdated: timestampFromMs(Math.floor(status.sentAtMs)) }),
        ...(status.lastError !== undefined && { errorState: errorState(status, status.lastError) }),
      })),
  });
  return { name, typeUrl: typeUrlOf(ClientConfigSchema.typeName), bytes: encode(ClientConfigSchema, config) };
}

function errorState({ sentAtMs }: TypeStatus, details: string): object {
  return { details, lastUpdateAttempt: timestampFromMs(Math.floor(sentAtMs)) };
}

/** ControlPlane.identifier as `istioctl version` and `proxy-status` read it. */
export function controlPlaneIdentifier(instance: string, version: string, nodeVersion: string): string {
  const info = { version, revision: 'unknown', golang_version: `node ${nodeVersion}`, status: 'unknown', tag: version };
  return JSON.stringify({ Component: 'mizzen', ID: instance, Info: info });
}
