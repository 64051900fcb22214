/** Where Prometheus and promtool come from: `$PROMETHEUS`, then PATH, then Debian's package, fetched once and not installed. */
import { execFile } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from '../../src/cli/download/wheel.ts';

const run = promisify(execFile);

export interface PrometheusBinaries {
  readonly prometheus: string;
  readonly promtool: string;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Both programs stand in one folder, in releases as in packages. */
async function inFolder(folder: string): Promise<PrometheusBinaries | undefined> {
  const found = { prometheus: join(folder, 'prometheus'), promtool: join(folder, 'promtool') };
  return (await isExecutable(found.prometheus)) && (await isExecutable(found.promtool)) ? found : undefined;
}

async function inPath(): Promise<PrometheusBinaries | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = folder === '' ? undefined : await inFolder(folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Paths of both programs. `$PROMETHEUS` is the path of the first, with promtool beside it. Throws with what to do when they are nowhere and cannot be
 * fetched.
 */
export async function prometheusBinaries(): Promise<PrometheusBinaries> {
  const given = process.env['PROMETHEUS'] ?? '';
  if (given !== '') {
    const found = await inFolder(dirname(given));
    if (found === undefined) throw new Error(`PROMETHEUS is ${given}, and ${dirname(given)} has not both prometheus and promtool`);
    return { ...found, prometheus: given };
  }
  return (await inPath()) ?? (await fetched());
}

/**
 * The package is unpacked, not installed: an installation would start a service. apt checks its signature.
 * Downloads beside the target and renames, so that two runs at once or an interrupted one leave no half file.
 */
async function fetched(): Promise<PrometheusBinaries> {
  const folder = join(cacheDir, 'prometheus');
  const found = await inFolder(folder);
  if (found !== undefined) return found;
  await mkdir(folder, { recursive: true });
  const partial = await mkdtemp(join(folder, 'download-'));
  console.error(`mizzen: fetching prometheus (Debian package) into ${folder}`);
  try {
    // As root apt would fetch as another user, who may not write here.
    await run('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', 'prometheus'], { cwd: partial, timeout: 300_000 });
    const file = (await readdir(partial)).find((name) => name.endsWith('.deb'));
    if (file === undefined) throw new Error('apt-get downloaded no package');
    await run('dpkg-deb', ['-x', join(partial, file), partial], { timeout: 120_000 });
    for (const name of ['prometheus', 'promtool']) await rename(join(partial, 'usr', 'bin', name), join(folder, name));
  } catch (cause) {
    throw new Error(
      "Prometheus is needed and Debian's package could not be fetched: run apt-get update, or install it, or set PROMETHEUS to the path of its " +
        `binary (https://prometheus.io/download/). ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  const unpacked = await inFolder(folder);
  if (unpacked === undefined)
    throw new Error(`the package of prometheus has not both programs: ${existsSync(folder) ? await readdir(folder) : ''}`);
  return unpacked;
}
