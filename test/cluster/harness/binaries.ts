/** Where the programs of a cluster come from: `$KUBEBUILDER_ASSETS`, else built once and kept beside what else is fetched for tests. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from '../../../src/cli/download/wheel.ts';
import { buildTool, type GoTool } from './build.ts';

const run = promisify(execFile);

export interface Binaries {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/** The oldest API server that the tests are written for, as `minor` of version 1. */
const oldestMinor = 34;

const toolsFolder = join(import.meta.dirname, '..', 'tools');

/** The release of a module that `tools/go.mod` requires. */
function requiredVersion(module: string): string {
  const text = readFileSync(join(toolsFolder, 'go.mod'), 'utf8');
  const required = text.split('\n').find((line) => line.startsWith(`\t${module} v`));
  const version = /^ v(\d+\.\d+\.\d+)(?: \/\/ indirect)?$/.exec(required?.slice(module.length + 1) ?? '')?.[1];
  if (version === undefined) throw new Error(`${toolsFolder}/go.mod requires no release of ${module}`);
  return version;
}

function tools(kubernetes: string): readonly GoTool[] {
  const variables = { gitVersion: `v${kubernetes}`, gitMajor: kubernetes.split('.')[0] ?? '', gitMinor: kubernetes.split('.')[1] ?? '' };
  const stamped = Object.fromEntries(Object.entries(variables).map(([name, value]) => [`k8s.io/component-base/version.${name}`, value]));
  return [
    { name: 'etcd', module: 'go.etcd.io/etcd/server/v3', variables: {} },
    { name: 'kube-apiserver', module: 'k8s.io/kubernetes/cmd/kube-apiserver', variables: stamped },
    { name: 'kube-controller-manager', module: 'k8s.io/kubernetes/cmd/kube-controller-manager', variables: stamped },
    { name: 'kubectl', module: 'k8s.io/kubernetes/cmd/kubectl', variables: stamped },
  ];
}

function inFolder(folder: string): Binaries {
  return {
    etcd: join(folder, 'etcd'),
    apiServer: join(folder, 'kube-apiserver'),
    controllerManager: join(folder, 'kube-controller-manager'),
    kubectl: join(folder, 'kubectl'),
  };
}

const missingOf = (binaries: Binaries): string[] => Object.values(binaries).filter((path: string) => !existsSync(path));

/**
 * Paths of all programs. The first call on a machine builds what is missing, which takes minutes; `progress` gets a line for each step.
 * Throws with what to do when neither is possible.
 */
export async function clusterBinaries(progress: (line: string) => void = console.error): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';
  const kubernetes = requiredVersion('k8s.io/kubernetes');
  const built = join(cacheDir, `kubernetes-${kubernetes}`);
  if (assets === '') return builtBinaries(built, tools(kubernetes), progress);
  const given = inFolder(assets);
  // Envtest's archives hold no controller manager: that one is built.
  const needed = tools(kubernetes).filter((tool) => !existsSync(join(assets, tool.name)));
  if (!needed.every((tool) => tool.name === 'kube-controller-manager')) {
    throw new Error(`KUBEBUILDER_ASSETS is ${assets}, which lacks ${missingOf(given).join(', ')}. Unset it to have all of them built.`);
  }
  await checkVersion(given.apiServer);
  if (needed.length === 0) return given;
  return { ...given, controllerManager: (await builtBinaries(built, needed, progress)).controllerManager };
}

async function checkVersion(apiServer: string): Promise<void> {
  const { stdout } = await run(apiServer, ['--version'], { timeout: 30_000 });
  const minor = /v1\.(\d+)\./.exec(stdout)?.[1];
  if (minor === undefined || Number(minor) < oldestMinor) {
    throw new Error(`${apiServer} is ${stdout.trim()}; 1.${oldestMinor} or newer is needed. Unset KUBEBUILDER_ASSETS to have it built.`);
  }
}

async function builtBinaries(folder: string, wanted: readonly GoTool[], progress: (line: string) => void): Promise<Binaries> {
  const missing = wanted.filter((tool) => !existsSync(join(folder, tool.name)));
  if (missing.length > 0) {
    await mkdir(folder, { recursive: true });
    progress(`mizzen: building ${missing.map((tool) => tool.name).join(', ')} into ${folder}, once; this takes some minutes`);
  }
  for (const [index, tool] of missing.entries()) {
    const startedAt = performance.now();
    progress(`mizzen: building ${tool.name} (${index + 1} of ${missing.length})`);
    // Beside the target, then renamed: two runs at once or an interrupted one leave no half file.
    const partial = join(folder, `${tool.name}.partial-${process.pid}`);
    try {
      await buildTool(tool, { folder: toolsFolder, output: partial });
      await rename(partial, join(folder, tool.name));
    } finally {
      await rm(partial, { force: true });
    }
    progress(`mizzen: ${tool.name} took ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }
  return inFolder(folder);
}
