/** The composition root: builds the daemon from its parts, starts it, and stops it when the signal says so. */
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { AdsDebug, controlPlaneIdentifier } from '../admin/debug-source.ts';
import { configDumpInTurns } from '../admin/dump.ts';
import { dumpMessages } from '../admin/dump-messages.ts';
import { createLog, type Log } from '../admin/log.ts';
import { createMetrics } from '../admin/metrics.ts';
import { monitoringServer, readinessServer } from '../admin/server.ts';
import { streamLog } from '../admin/stream-log.ts';
import { combineObservers, StreamRegistry } from '../admin/streams.ts';
import type { AdminViews } from '../admin/views.ts';
import { parseMeshConfig } from '../apis/mesh-config-parse.ts';
import { objectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { EndpointCensus } from '../analysis/endpoint-census.ts';
import { References } from '../analysis/references.ts';
import { untranslatedPaths } from '../apis/untranslated.ts';
import { gatewaySecret } from '../ca/credentials.ts';
import { checkNodeClaim } from '../identity/binding.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { Objects } from '../mesh/objects.ts';
import { Convergence } from '../snapshot/convergence.ts';
import { CostLedger } from '../snapshot/costs/cost-ledger.ts';
import { Snapshot } from '../snapshot/snapshot.ts';
import { Graph } from '../store/graph.ts';
import { createValidator } from '../wire/validate.ts';
import { DebugDesk } from '../xds/debug.ts';
import { Hub } from '../xds/hub.ts';
import type { Caller, ClaimedNode, TrackedStream } from '../xds/source.ts';
import { caControllers, caReportKey, folderHorizonMs, proxyExists, startFolderRotation } from './ca-controllers.ts';
import { CaReporter } from './ca-report.ts';
import { openCertificates, servingNames } from './certificates.ts';
import type { Clusters } from './clusters.ts';
import { ConvergenceDesk } from './convergence.ts';
import { startControllers, type Leadership } from './controllers.ts';
import { readRegistry, readServices } from './descriptors.ts';
import { IdentityParts } from './identity-parts.ts';
import { Intake } from './objects.ts';
import type { DiscoveryOptions, ListenAddress } from './options.ts';
import { Pacer } from './pacer.ts';
import { openSource } from './origin.ts';
import { XdsPorts } from './ports.ts';
import { joinReplicas } from './replicas.ts';
import { NackProblems } from './rejections.ts';
import { ChangeSignals, statusController } from './status.ts';
import { StreamControl } from './stream-control.ts';

/** Runs until the signal; resolves when everything is closed. Rejects when it cannot start. */
export async function runDiscovery(options: DiscoveryOptions, signal: AbortSignal): Promise<void> {
  const log = createLog(options.logLevels);
  const daemon = new Daemon(options, log);
  try {
    await daemon.run(signal);
  } finally {
    await daemon.close();
    log.flush();
  }
}

class Daemon {
  private readonly options: DiscoveryOptions;
  private readonly log: Log;
  private readonly closers: (() => unknown)[] = [];
  /** Why it takes no streams, for `/ready`; undefined while it does. */
  private notReady: (() => readonly string[]) | undefined = () => ['it is starting'];

  constructor(options: DiscoveryOptions, log: Log) {
    this.options = options;
    this.log = log;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { options, log } = this;
    const registry = readRegistry();
    const services = readServices();
    const graph = new Graph();
    const objects = new Objects(graph);
    const metrics = createMetrics({
      version: options.version,
      nowMs: () => performance.now(),
      serviceCount: () => count(snapshot.mesh.services.keysNow()),
      virtualServiceCount: () => count(objects.kinds.VirtualService.keysNow()),
      endpointFigures: () => census.figures,
      problems: () => views.problems(),
      translationMs: () => snapshot.translationMs,
    });
    metrics.watchProcess();
    const onFault = (collection: string, key: string, error: unknown): void => {
      metrics.translationFailed();
      log.scope('model').error({ collection, key, err: error }, 'fault in a translation; its last result stays in force');
    };
    let identities: IdentityParts | undefined;
    let clusters: Clusters | undefined;
    let isServing = (): boolean => false;
    const snapshot = new Snapshot(objects, {
      validator: createValidator(registry),
      untranslated: untranslatedPaths,
      readCredential: (name, lookup) => {
        const read = gatewaySecret(name, lookup, Date.now());
        if (read.secret === undefined) metrics.ca.secretFailed();
        return read;
      },
      onFault,
      now: steadyNow,
      turns: { now: () => performance.now(), later: (task) => void setImmediate(task), isServing: () => isServing() },
      admit: (node, caller) => admit(node, caller) ?? clusters?.refusal(node, caller),
      clusterId: options.instance.clusterId,
      clusterOf: (node, caller) => clusters?.clusterOf(node, caller),
      identityPart: (caller) => identities?.acquire(caller),
    });
    const costs = new CostLedger(steadyNow);
    snapshot.onFlush((flush) => costs.flushed(flush));
    const references = new References(snapshot.mesh, onFault);
    const census = new EndpointCensus(snapshot.mesh);
    const translate = async (): Promise<void> => {
      metrics.translating();
      try {
        await snapshot.flushInTurns();
      } catch (error) {
        // What was translated before it stays in force; the next change tries again.
        metrics.translationFailed();
        log.scope('model').error({ err: error }, 'fault while a change was translated');
      }
      metrics.flushed();
    };
    const pacer = new Pacer({
      flush: translate,
      now: () => performance.now(),
      after: (ms, task) => {
        if (ms === 0) {
          const immediate = setImmediate(task);
          return () => clearImmediate(immediate);
        }
        const timer = setTimeout(task, ms);
        return () => clearTimeout(timer);
      },
    });
    this.closers.push(() => pacer.stop());
    const meshConfig =
      options.meshConfigFile === undefined
        ? undefined
        : parseMeshConfig(
            await readFile(options.meshConfigFile, 'utf8'),
            { file: options.meshConfigFile },
            objectKey('MeshConfig', '', options.meshConfigFile),
          );
    const intake = new Intake({
      objects,
      namespace: options.instance.namespace,
      revision: options.instance.revision,
      ...(meshConfig === undefined ? {} : { meshConfig }),
      changed: () => pacer.changed(),
      event: (kind, event) => metrics.configEvent(kind, event),
    });

    const opened = await openSource(options.config, options.instance, options.remoteClusterTimeoutMs, meshConfig?.config, log);
    const { source, reviewers, cluster, place } = opened;
    clusters = opened.clusters;
    clusters.follow((ids) => {
      snapshot.clustersChanged(ids);
      pacer.changed();
    }, metrics);
    const streams = new StreamRegistry();
    const changes = new ChangeSignals();
    let tracked: () => Iterable<TrackedStream> = () => [];
    const convergence = new Convergence({ snapshot, streams: () => tracked() });
    const rejections = new NackProblems({
      changedLast: (among) => convergence.changedLast(among),
      onChange: (blamed) => changes.tell(blamed),
    });
    for (const known of [intake, references, snapshot]) known.onProblems((objects) => changes.tell(objects));
    let leadership: Leadership | undefined;
    let caProblems = (): Problem[] => [];
    const views: AdminViews = {
      streams: () => streams.streams(),
      problems: () => [
        ...(source.waitingFor().length > 0 ? source : intake).problems(),
        ...[references, snapshot, rejections].flatMap((known) => known.problems()),
        ...caProblems(),
      ],
      services: () => [...snapshot.mesh.services.keysNow()].sort().flatMap((key) => snapshot.mesh.services.peek(key) ?? []),
      endpoints: () =>
        [...snapshot.mesh.services.keysNow()].sort().flatMap((key) => {
          const service = snapshot.mesh.services.peek(key);
          return service === undefined ? [] : [{ service, endpoints: snapshot.mesh.endpoints.peek(key)?.endpoints ?? [] }];
        }),
      dump: async (connectionId, request) => {
        await new Promise<void>((resolve) => snapshot.whenSettled(resolve));
        const stream = streams.streams().find((s) => s.subscription.connectionId === connectionId);
        if (stream === undefined) return undefined;
        const vhds = stream.protocol === 'delta' && request.explain !== true;
        return configDumpInTurns(stream.subscription, { registry, vhds, ...request }, turns);
      },
      dumpMessages: async (connectionId) => {
        await new Promise<void>((resolve) => snapshot.whenSettled(resolve));
        const stream = streams.streams().find((s) => s.subscription.connectionId === connectionId);
        return stream === undefined ? undefined : dumpMessages(stream.subscription, { vhds: stream.protocol === 'delta' });
      },
      objects: () => objects.objects(),
      meshConfig: () => objects.meshConfig(),
      clusters: () => opened.clusters.view(snapshot.mesh),
      costs: () => costs.report(),
      replicas: () => ({ self: joined.replicas.self, leader: leadership?.leader ?? '', replicas: joined.replicas.list() }),
    };
    const version = { version: options.version, node: process.version, envoy: '1.40' };
    // Before anything is read: whoever wonders why it is not ready asks here.
    const progress = new ConvergenceDesk({
      convergence,
      snapshot,
      ...(source.observed !== undefined && { observed: source.observed }),
      problemsOf: (object) => [
        ...[intake, references, snapshot, rejections].flatMap((known) => known.problemsOf(object)),
        ...caProblems().filter((problem) => problem.object === object),
      ],
      rejections: () => rejections.problems(),
      self: options.instance.replica,
      replicas: () => joined.replicas.list(),
      turns,
    });
    const monitoringPort = await this.serve(
      monitoringServer({ views, metrics: metrics.registry, log, version, convergence: progress }),
      options.monitoring,
    );
    await this.serve(
      readinessServer(() => this.notReady?.()),
      options.http,
    );
    const startedAt = new Date().toISOString();
    const joined = joinReplicas({
      ...(cluster !== undefined && { cluster }),
      instance: options.instance,
      log,
      state: () => ({
        version: options.version,
        startedAt,
        monitoringAddress: addressForOthers(options, monitoringPort),
        ready: this.notReady === undefined,
        streams: streams.streams().length,
      }),
    });
    this.closers.push(() => joined.leave());

    const stopSource = new AbortController();
    const running = source.run({ apply: (change) => snapshot.whenSettled(() => intake.apply(change)) }, stopSource.signal);
    this.closers.push(async () => {
      stopSource.abort();
      await running.catch(() => undefined);
    });
    this.notReady = () => source.waitingFor();
    await Promise.race([source.ready, running, aborted(signal)]);
    if (signal.aborted) return;

    const certificates = await openCertificates(
      {
        stateDir: options.stateDir,
        mesh: () => objects.meshConfig(),
        ttlMs: options.certificateTtlMs,
        servingNames: [...servingNames(options.instance), ...namesOf(options.secureGrpc)],
        ...(options.servingFiles !== undefined && { servingFiles: options.servingFiles }),
        log,
        metrics: metrics.ca,
        instance: options.instance,
        ...(cluster !== undefined && { cluster }),
        ...(reviewers !== undefined && { reviewers }),
      },
      signal,
    ).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (certificates === undefined) return;
    caProblems = () => certificates.problems();
    intake.keepTrustDomain();
    this.closers.push(() => certificates.stop());
    const parts = new IdentityParts(certificates.workloads, snapshot.partTouched.bind(snapshot), () => pacer.changed());
    identities = parts;
    await translate();
    costs.loaded();

    // Before the hub listens: it sends at once.
    snapshot.onSettled((changed) => {
      if (changed.size > 0) metrics.settled(changed);
    });
    const control = new StreamControl({ policy: options.streams, metrics: metrics.make, log });
    this.closers.push(() => control.stop());
    const reporter = new CaReporter({
      certificates,
      identities: parts,
      clusterId: options.instance.clusterId,
      exists: (proxy) => cluster === undefined || proxyExists(objects, proxy),
      horizonMs: cluster === undefined ? folderHorizonMs : options.certificateTtlMs,
      now: () => performance.now(),
      streams: () => hub.streams,
      settled: () => snapshot.settled,
      publish: (report) => joined.replicas.publish(caReportKey, report),
      after: systemClock.after,
    });
    this.closers.push(() => reporter.stop());
    const hub = new Hub({
      source: snapshot,
      limits: { maxAgeMs: options.streams.maxAgeMs },
      random: Math.random,
      observer: combineObservers(streams, changes, rejections, reporter, costs, metrics.streams, streamLog(log.scope('ads'))),
      meter: metrics.meter,
      controlPlane: `mizzen ${options.version}`,
      now: steadyNow,
      later: (task) => void setImmediate(task),
      onFault: (error) => log.scope('ads').error({ err: error }, 'fault on a stream; it was ended'),
    });
    tracked = () => hub.streams;
    isServing = () => hub.waiting > 0;
    metrics.watch({
      waitingStreams: () => hub.waiting,
      bytesInFlight: () => hub.bytesInFlight,
      sharing: () => hub.sharing,
      identities: () => certificates.workloads.size,
      proxiesWithoutService: () => snapshot.sidecarsWithoutPorts,
    });
    control.start(hub, joined.replicas);
    const tick = setInterval(() => hub.tick(), 1000);
    this.closers.push(() => clearInterval(tick));
    const admin = log.scope('admin');
    const desk = new DebugDesk({
      source: new AdsDebug(views, options.instance.namespace, ({ type, name, caller }) =>
        admin.info({ caller: caller.identity.spiffeId, address: caller.address, type, name }, 'debug request'),
      ),
      controlPlane: controlPlaneIdentifier(options.instance.replica, options.version, process.version),
      now: () => performance.now(),
      onFault: (error) => admin.error({ err: error }, 'fault while a debug request was answered'),
    });
    const ports = new XdsPorts({
      hub,
      desk,
      admission: control.admission,
      accepts: () => control.accepts(),
      certificates,
      services,
      metrics,
      observer: combineObservers(streams, metrics.streams, streamLog(log.scope('ads'))),
      log,
    });
    this.closers.push(() => ports.close());
    await ports.listen(options);

    if (cluster !== undefined) {
      const ofCa = caControllers({
        cluster,
        certificates,
        mesh: () => objects.meshConfig(),
        objects,
        joined,
        options,
        log,
      });
      const { observed } = source;
      const ofStatus =
        observed === undefined || !options.writeStatus
          ? []
          : [
              statusController({
                cluster,
                observed,
                snapshot,
                convergence: progress,
                problems: views.problems,
                caProblems: () => caProblems(),
                changes,
                replicas: joined.replicas,
                log,
              }),
            ];
      const controllers = [...joined.controllers, ...ofCa, ...ofStatus];
      const elected = startControllers({ cluster, instance: options.instance, controllers, log });
      leadership = elected;
      metrics.make.read('mizzen_leader', '1 while this replica leads: it alone writes to the cluster', () => (elected.leading ? 1 : 0));
      this.closers.push(() => elected.stop());
    } else this.closers.push(startFolderRotation({ certificates, joined, options, log }));
    metrics.make.read('mizzen_replicas', 'Replicas of this control plane that take streams, as this one knows them', () => {
      return joined.replicas.list().filter(({ live, ready }) => live && ready).length;
    });
    this.notReady = undefined;
    joined.stateChanged();
    log
      .scope('default')
      .info({ config: place, state: options.stateDir, services: views.services().length, problems: views.problems().length }, 'ready');
    await Promise.race([running, aborted(signal)]);
    this.notReady = () => ['it is stopping'];
    joined.stateChanged();
    // Another one leads while the streams are still being ended.
    await Promise.all([leadership?.stop(), control.drain()]);
  }

  async close(): Promise<void> {
    for (const close of this.closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.log.scope('default').error({ err: error }, 'fault while stopping; the rest is stopped all the same');
      }
    }
  }

  /** The port that it got. */
  private async serve(app: FastifyInstance, at: ListenAddress): Promise<number> {
    this.closers.push(() => app.close());
    await app.listen({ host: at.address, port: at.port });
    return (app.server.address() as AddressInfo).port;
  }
}

/** Never goes back, and is shown as a time of day. */
function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

/** For answers that take longer than the sockets should wait. */
const turns = { now: () => performance.now(), pause: () => new Promise<void>((resolve) => setImmediate(resolve)) };

/** What is proven must be what the node claims. On the plaintext port nothing is proven; such a proxy gets no secrets. */
function admit(node: ClaimedNode, caller: Caller): string | undefined {
  return caller.identity === undefined ? undefined : checkNodeClaim(caller.identity, node)?.refused;
}

function namesOf(at: ListenAddress): string[] {
  return at.address === '' || at.address === '0.0.0.0' || at.address === '::' ? [] : [at.address];
}

/** Empty where this replica does not know its own address. */
function addressForOthers({ instance, monitoring }: DiscoveryOptions, port: number): string {
  const address = instance.address ?? namesOf(monitoring)[0];
  if (address === undefined) return '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function count(keys: Iterable<string>): number {
  let n = 0;
  for (const _ of keys) n++;
  return n;
}
