/** The pages of the debug API by istiod's names: over HTTP for callers on this machine, over ADS for `istioctl`. */
import type { ConfigObject } from '../apis/object.ts';
import { endpointType, extensionConfigType, nameTableType, typeOfShortName } from '../wire/types.ts';
import type { StreamStatus, TypeUrl } from '../xds/source.ts';
import { costsAnswer } from './costs.ts';
import { findStream, proxyName } from './streams.ts';
import { syncStatus } from './syncz.ts';
import type { AdminViews } from './views.ts';

export interface PageRequest {
  readonly query: URLSearchParams;
  /** Only proxies of this namespace exist for the caller; absent: all. */
  readonly namespace?: string;
}

export interface Page {
  /** Of HTTP. */
  readonly status: number;
  /** As JSON. */
  readonly body: unknown;
}

export interface DebugPage {
  /** Under `/debug/`. */
  readonly name: string;
  readonly what: string;
  /** What to add to the link of an index. */
  readonly query?: string;
  /** Shows a single proxy, so that workloads may ask for those of their own namespace. */
  readonly ofProxy?: true;
  answer(request: PageRequest): Page | Promise<Page>;
}

const ofProxy = { ofProxy: true, query: '?proxyID=NAME.NAMESPACE' } as const;

export function debugPages(views: AdminViews): readonly DebugPage[] {
  const dump = (what: string, name: string, types?: readonly TypeUrl[]): DebugPage => ({
    name,
    what,
    ...ofProxy,
    answer: (request) => dumpPage(views, request, types),
  });
  const pages: DebugPage[] = [
    {
      name: 'syncz',
      what: 'connected proxies: what each was sent, has accepted or rejected, by type',
      answer: ({ query }) => ok(inNamespace(views.streams(), query.get('namespace') ?? undefined).map(syncStatus)),
    },
    { name: 'connections', what: 'connected proxies: since when and from where', answer: () => ok(clients(views, false)) },
    { name: 'adsz', what: 'connected proxies and what they say of themselves', answer: () => ok(clients(views, true)) },
    dump(
      "a proxy's configuration in the form of Envoy's own dump, private keys left out; ?types=cds,eds, ?include_eds, ?explain",
      'config_dump',
    ),
    dump('endpoints of a proxy', 'edsz', [endpointType]),
    dump('extensions of a proxy', 'ecdsz', [extensionConfigType]),
    dump("the names that a proxy's agent answers DNS by", 'ndsz', [nameTableType]),
    { name: 'registryz', what: 'services of the mesh', answer: () => ok(views.services()) },
    { name: 'endpointz', what: 'endpoints by service', answer: () => ok(views.endpoints()) },
    { name: 'endpointShardz', what: 'the same by its newer name', answer: () => ok(views.endpoints()) },
    { name: 'configz', what: "objects of Istio's kinds", answer: () => ok([...views.objects()].filter(isIstio).map(asWritten)) },
    { name: 'mesh', what: 'the mesh configuration with its defaults', answer: () => ok(views.meshConfig()) },
    { name: 'problems', what: 'what is wrong with objects: file, line, path and what to do', answer: () => ok(views.problems()) },
    { name: 'clusterz', what: 'clusters whose endpoints are read, and whether they can be read now', answer: () => ok(views.clusters()) },
    {
      name: 'costs',
      what: 'what the changes of the last minutes have cost, by object; ?by=bytes, time, proxies or changes, ?n=20',
      answer: ({ query }) => costsAnswer(views.costs(), query),
    },
    {
      name: 'replicas',
      what: 'the replicas of this control plane, how many proxies each serves, and who leads',
      answer: () => ok(views.replicas()),
    },
  ];
  const list: DebugPage = { name: 'list', what: 'the names of these pages', answer: () => ok(pages.map(({ name }) => name).sort()) };
  return [...pages, list];
}

function ok(body: unknown): Page {
  return { status: 200, body };
}

async function dumpPage(views: AdminViews, { query, namespace }: PageRequest, types: readonly TypeUrl[] | undefined): Promise<Page> {
  const proxy = query.get('proxyID') ?? '';
  // The first sentences of both are istiod's: istioctl looks for them.
  if (proxy === '') {
    const error = 'You must provide a proxyID in the query string: ?proxyID=name.namespace, or a connection id from /debug/syncz';
    return { status: 400, body: { error } };
  }
  const wanted = types ?? typesIn(query.get('types') ?? '');
  if (wanted === undefined)
    return { status: 400, body: { error: '?types=... takes short names of types with commas, such as cds,eds,nds' } };
  const stream = findStream(inNamespace(views.streams(), namespace), proxy);
  const dump =
    stream === undefined
      ? undefined
      : await views.dump(stream.subscription.connectionId, {
          ...(wanted.length > 0 && { types: wanted }),
          endpoints: query.has('include_eds'),
          explain: query.has('explain'),
        });
  if (dump === undefined) {
    const connected = 'Proxy not connected to this Pilot instance. It may be connected to another instance.';
    return {
      status: 404,
      body: { error: `${connected} No proxy "${proxy.slice(0, 200)}" is connected; /debug/syncz lists those that are` },
    };
  }
  return ok(dump);
}

/** Undefined when one of them is no type. */
function typesIn(text: string): readonly TypeUrl[] | undefined {
  const names = text.split(',').filter((name) => name !== '');
  const types = names.map((name) => typeOfShortName(name));
  return types.includes(undefined) ? undefined : types.filter((type) => type !== undefined);
}

/** Streams of the proxies of a namespace; of all where none is given. What a node says of its namespace has been checked. */
export function inNamespace(streams: readonly StreamStatus[], namespace: string | undefined): readonly StreamStatus[] {
  return namespace === undefined ? streams : streams.filter((stream) => namespaceOf(stream) === namespace);
}

function namespaceOf({ subscription: { node } }: StreamStatus): string {
  const said = node.metadata['NAMESPACE'];
  const name = proxyName(node.id);
  return typeof said === 'string' && said !== '' ? said : name.slice(name.lastIndexOf('.') + 1);
}

/** istiod's form; what each proxy watches is on /debug/syncz. */
function clients(views: AdminViews, withNode: boolean): object {
  const streams = views.streams();
  return {
    totalClients: streams.length,
    clients: streams.map(({ subscription: { connectionId, node }, connectedAtMs, caller }) => ({
      connectionId,
      connectedAt: new Date(connectedAtMs).toISOString(),
      address: caller.address,
      ...(withNode && { metadata: node.metadata, ...(node.locality !== undefined && { locality: node.locality }) }),
    })),
  };
}

/** Never a Secret: its kind has no such group. */
function isIstio({ apiVersion }: ConfigObject): boolean {
  return /^[a-z]+\.istio\.io\//.test(apiVersion);
}

function asWritten({ kind, apiVersion, name, namespace, labels, annotations, creationTimestamp, origin, spec }: ConfigObject): object {
  const { resourceVersion } = origin;
  return {
    kind,
    apiVersion,
    metadata: {
      name,
      namespace,
      ...(Object.keys(labels).length > 0 && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    spec,
  };
}
