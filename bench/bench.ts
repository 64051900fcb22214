/** All runs of a command line: every size, every server. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { clusterBinaries } from '../test/cluster/harness/binaries.ts';
import { TestCluster } from '../test/cluster/harness/cluster.ts';
import { installCrds } from '../test/cluster/harness/crds.ts';
import { own } from '../test/envoy/harness/owned.ts';
import { calibrate } from './calibration/calibrate.ts';
import type { Flags } from './flags.ts';
import type { Report, SizeResult, TargetResult } from './report/result.ts';
import { run, type RunOptions } from './run.ts';
import type { Numbers } from './scenarios/context.ts';
import { conditionsOf, sizesOf } from './sizes.ts';
import { type MizzenOptions, startMizzen } from './target/mizzen.ts';
import { pause } from './target/pause.ts';
import type { Target } from './target/target.ts';
import { idle } from './target/usage.ts';
import type { Feed } from './workload/feed.ts';
import { FolderFeed } from './workload/folder.ts';
import { KubernetesFeed, readKubeconfig } from './workload/kubernetes.ts';
import { meshItems, type MeshSize, simulatedProxies } from './workload/mesh.ts';
import { nodeOf } from './workload/node.ts';

export async function bench(flags: Flags, progress: (line: string) => void): Promise<Report> {
  const work = mkdtempSync(join(tmpdir(), 'mizzen-bench-'));
  const remove = (): void => rmSync(work, { recursive: true, force: true, maxRetries: 10 });
  const disown = own(remove);
  try {
    const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version };
    const calibration = flags.calibration ? await calibrated(flags, progress) : undefined;
    const sizes = await runSizes(flags, work, progress);
    return { conditions: conditionsOf(flags), machine, ...(calibration === undefined ? {} : { calibration }), sizes };
  } finally {
    remove();
    disown();
  }
}

async function calibrated(flags: Flags, progress: (line: string) => void): ReturnType<typeof calibrate> {
  progress('calibration: a bare grpc-js server');
  const [size] = sizesOf(flags);
  if (size === undefined) throw new Error('there is no size to measure');
  const proxies = simulatedProxies(size).map((proxy) => ({ node: nodeOf(proxy) }));
  return calibrate({ proxies, workers: flags.workers, limitMs: flags.limit });
}

/** Objects, and how a mizzen of our own reads them. */
interface Source {
  readonly feed: Feed;
  readonly from: MizzenOptions['from'];
}

async function runSizes(flags: Flags, work: string, progress: (line: string) => void): Promise<SizeResult[]> {
  await using stack = new AsyncDisposableStack();
  const { feed, from } = await startFeed(flags, work, stack, progress);
  const numbers: Numbers = { changes: 0, samples: 0, pods: 0 };
  const results: SizeResult[] = [];
  for (const size of sizesOf(flags)) {
    progress(`${size.services} services, ${size.virtualServices} VirtualServices, ${size.proxies} proxies in ${feed.place}`);
    await feed.load(meshItems(size));
    results.push({ size, targets: await runTargets(flags, { feed, size, numbers, progress }, { from, work }) });
  }
  return results;
}

async function startFeed(flags: Flags, work: string, stack: AsyncDisposableStack, progress: (line: string) => void): Promise<Source> {
  if (flags.feed === 'folder') {
    const folder = resolve(flags.folder ?? join(work, 'mesh'));
    return { feed: stack.use(new FolderFeed(folder)), from: { folder } };
  }
  if (flags.kubeconfig !== undefined) {
    const kubeconfig = resolve(flags.kubeconfig);
    return { feed: stack.use(new KubernetesFeed(readKubeconfig(kubeconfig), { keep: false })), from: { kubeconfig } };
  }
  progress('a Kubernetes API starts');
  const cluster = stack.use(await TestCluster.start({ binaries: await clusterBinaries() }));
  await installCrds(cluster.api);
  const { kubeconfig } = cluster;
  return { feed: stack.use(new KubernetesFeed(readKubeconfig(kubeconfig), { keep: true })), from: { kubeconfig } };
}

async function runTargets(
  flags: Flags,
  at: { readonly feed: Feed; readonly size: MeshSize; readonly numbers: Numbers; readonly progress: (line: string) => void },
  { from, work }: Pick<MizzenOptions, 'from' | 'work'>,
): Promise<TargetResult[]> {
  const options: Omit<RunOptions, 'target'> = {
    ...at,
    scenarios: flags.scenario,
    settings: {
      changes: flags.changes,
      seconds: flags.seconds,
      podsPerSecond: flags.podsPerSecond,
      bulkObjects: flags.objects,
      drop: flags.drop,
      quietMs: flags.quietMs,
      limitMs: flags.limit,
    },
    proxies: {
      protocol: flags.protocol,
      workers: flags.workers,
      slowReaders: flags.slowReaders,
      slowBytesPerSecond: flags.slowBytes,
      ...(flags.nack === undefined ? {} : { nack: flags.nack }),
      sds: flags.sds,
    },
    envoy: flags.envoy,
  };
  if (flags.target.length === 0) {
    const nodeFlags = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(flags.profile)}`];
    await using target = await startMizzen({
      from,
      work,
      tls: flags.tls,
      nodeFlags,
      replicas: flags.replicas,
      main: flags.main && resolve(flags.main),
    });
    return [await run({ ...options, target: await withRoots(target, at.feed, flags, work) })];
  }
  const results: TargetResult[] = [];
  for (const target of flags.target) {
    at.progress(`${target.name}: until it has read the objects and is idle`);
    const pids = pidsOf(target);
    // With --alone all of them are: one that is stopped while it reads much would have to read it again.
    for (const pid of flags.alone ? flags.target.flatMap(pidsOf) : pids) await idle(pid, flags.limit);
    using _others = flags.alone ? pause(flags.target.flatMap(pidsOf).filter((pid) => !pids.includes(pid))) : undefined;
    const complete = await withRoots({ ...target, tls: flags.tls }, at.feed, flags, work);
    results.push(await run({ ...options, target: complete }));
  }
  return results;
}

function pidsOf({ replicas }: Target): number[] {
  return replicas.map(({ pid }) => pid);
}

/** What verifies a server over TLS: its own folder, --root, or what it publishes in the cluster. */
async function withRoots(target: Target, feed: Feed, { root }: Flags, work: string): Promise<Target> {
  if (target.tls !== true || target.ca !== undefined) return target;
  if (root !== undefined) return { ...target, caFile: resolve(root), ca: readFileSync(root, 'utf8') };
  const ca = await feed.roots?.();
  if (ca === undefined) throw new Error(`the roots that verify ${target.name} are not known: --root`);
  const caFile = join(work, `${target.name}-roots.pem`);
  writeFileSync(caFile, ca);
  return { ...target, caFile, ca };
}
