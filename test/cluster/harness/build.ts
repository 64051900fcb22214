/** One Go program of the module in `tools/`, as a static and stripped binary. */
import { spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { own } from '../../envoy/harness/owned.ts';

export interface GoTool {
  readonly name: string;
  /** The main package. */
  readonly module: string;
  /** Values of string variables, by package path and name. */
  readonly variables: Readonly<Record<string, string>>;
}

/** A first build compiles some 3,000 packages; on two cores that are also busy with other things it takes a quarter of an hour. */
const limitMs = 60 * 60_000;
const keptOutput = 8_000;

/** Where Go's own installer puts it; asked after PATH. */
const usualFolder = '/usr/local/go/bin';

/** Builds into the file `output`. The limits of the environment (`GOFLAGS=-p=1`, `GOMAXPROCS`) hold. */
export async function buildTool(tool: GoTool, { folder, output }: { readonly folder: string; readonly output: string }): Promise<void> {
  const ldflags = ['-s', '-w', ...Object.entries(tool.variables).map(([name, value]) => `-X ${name}=${value}`)].join(' ');
  const args = ['build', '-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags', ldflags, '-o', output, tool.module];
  const child = spawn('go', args, {
    cwd: folder,
    // The compiler's processes form a group of their own, so that all of them can be ended.
    detached: true,
    env: {
      ...process.env,
      PATH: `${process.env['PATH'] ?? ''}${delimiter}${usualFolder}`,
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      GOWORK: 'off',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const endAll = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  const disown = own(endAll);
  let said = '';
  const keep = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-keptOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const timer = setTimeout(endAll, limitMs);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (cause: NodeJS.ErrnoException) => reject(cause.code === 'ENOENT' ? noGo(cause) : cause));
      child.once('close', (code, signal) => {
        if (code === 0) resolve();
        else reject(new Error(`go build of ${tool.name} ended with ${signal ?? `code ${code}`}:\n${said}`));
      });
    });
  } finally {
    clearTimeout(timer);
    disown();
  }
}

function noGo(cause: Error): Error {
  return new Error(
    'a test cluster needs kube-apiserver, kube-controller-manager, kubectl and etcd: install Go 1.26 or newer to have them built once, ' +
      'or set KUBEBUILDER_ASSETS to a folder that holds them.',
    { cause },
  );
}
