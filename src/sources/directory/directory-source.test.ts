import { renameSync, writeFileSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../apis/object.ts';
import { RecordingSink } from '../testing/recording-sink.ts';
import { DirectorySource, type DirectoryOptions } from './directory-source.ts';

const entry = (name: string, address: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: ${name}
  namespace: shop
spec:
  address: ${address}
`;
const key = (name: string) => objectKey('WorkloadEntry', 'shop', name);

let dir: string;
let stops: (() => Promise<void>)[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mizzen-directory-'));
  stops = [];
});

afterEach(async () => {
  for (const stop of stops) await stop();
  await rm(dir, { recursive: true, force: true });
});

async function start(options: Partial<DirectoryOptions> = {}): Promise<RecordingSink> {
  const sink = new RecordingSink();
  const source = new DirectorySource({ dir, ...options });
  const controller = new AbortController();
  const running = source.run(sink, controller.signal);
  stops.push(async () => {
    controller.abort();
    await running;
  });
  await source.ready;
  return sink;
}

const write = (name: string, text: string) => writeFile(join(dir, name), text);

/** As careful writers do: a temporary file, renamed over the old one. */
async function replace(name: string, text: string): Promise<void> {
  await write(`.${name}.tmp`, text);
  await rename(join(dir, `.${name}.tmp`), join(dir, name));
}

const address = (sink: RecordingSink, name: string) => (sink.objects.get(key(name))?.spec as { address?: string } | undefined)?.address;

describe('a security object that is refused', () => {
  const policy = (action: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: policy
  namespace: shop
spec:
  selector:
    matchLabels:
      app: page
  action: ${action}
`;
  const policyKey = objectKey('AuthorizationPolicy', 'shop', 'policy');

  it('closes what it selects where it has no earlier version, and says so', async () => {
    await write('policy.yaml', policy('NONE'));
    const sink = await start();
    expect(sink.objects.get(policyKey)).toMatchObject({ unreadable: true, spec: { selector: { matchLabels: { app: 'page' } } } });
    expect(sink.problems.map(({ message }) => message).join()).toContain('until it is mended the workloads that it selects are held back');
    await replace('policy.yaml', policy('ALLOW'));
    await sink.until(() => sink.objects.get(policyKey)?.unreadable === undefined);
    expect(sink.problems).toEqual([]);
  });

  it('leaves its last good version in force where it has one', async () => {
    await write('policy.yaml', policy('ALLOW'));
    const sink = await start();
    await replace('policy.yaml', policy('NONE'));
    await sink.until(() => sink.problems.length > 0);
    expect(sink.objects.get(policyKey)).toMatchObject({ spec: { action: 'ALLOW' } });
    expect(sink.objects.get(policyKey)?.unreadable).toBeUndefined();
  });
});

describe('what is read', () => {
  it('takes several documents, Lists, JSON and sub-folders', async () => {
    await mkdir(join(dir, 'deep/er'), { recursive: true });
    await write('a.yaml', `${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.2')}---\n# nothing\n`);
    const list = ['c', 'd'].map((name) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name, namespace: 'shop' },
      spec: { address: '127.0.0.3' },
    }));
    await writeFile(join(dir, 'deep/er/list.json'), `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: list }, null, 2)}\n`);
    const sink = await start();
    expect(sink.keys).toEqual([key('a'), key('b'), key('c'), key('d')]);
    expect(sink.problems).toEqual([]);
    expect(sink.changes).toHaveLength(1);
    expect(sink.objects.get(key('b'))?.origin).toMatchObject({ file: join(dir, 'a.yaml'), line: 9 });
    expect(sink.objects.get(key('b'))?.origin.lineOf?.('spec.address')).toBe(15);
    expect(sink.objects.get(key('d'))?.origin.lineOf?.('metadata.name')).toBe(20);
  });

  it('ignores files of editors, hidden ones and other kinds of files', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    for (const name of ['.b.yaml.swp', 'b.yaml~', '.#b.yaml', '#b.yaml#', '4913', '.b.yaml', 'README.md']) await write(name, 'kind: ][');
    const sink = await start();
    expect(sink.keys).toEqual([key('a')]);
    expect(sink.problems).toEqual([]);
  });

  it('refuses a file that is too large and names the limit', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    await write('b.yaml', `${entry('b', '127.0.0.2')}# ${'x'.repeat(2000)}\n`);
    const sink = await start({ maxFileBytes: 1000 });
    expect(sink.keys).toEqual([key('a')]);
    expect(sink.problems.map((problem) => problem.message)).toEqual([expect.stringContaining('more than the 1000 that are read')]);
  });

  it('refuses aliases that multiply', async () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 0; i < 8; i++)
      bomb.push(
        `b${i}: &b${i} [${Array(10)
          .fill(i === 0 ? '*a' : `*b${i - 1}`)
          .join(',')}]`,
      );
    await write('bomb.yaml', `${bomb.join('\n')}\n`);
    await write('deep.yaml', `a: ${'['.repeat(50_000)}\n`);
    const sink = await start();
    expect(sink.keys).toEqual([]);
    expect(sink.problems.map((problem) => problem.origin?.file)).toContain(join(dir, 'bomb.yaml'));
    expect(sink.problems.map((problem) => problem.origin?.file)).toContain(join(dir, 'deep.yaml'));
  });

  it('loads 1,000 files', async () => {
    await Promise.all(Array.from({ length: 1000 }, (_, i) => write(`w${i}.yaml`, entry(`w${i}`, '127.0.0.1'))));
    const sink = await start();
    expect(sink.objects.size).toBe(1000);
    expect(sink.changes).toHaveLength(1);
  }, 20_000);

  it('says which folder is missing', async () => {
    const source = new DirectorySource({ dir: join(dir, 'nowhere') });
    await expect(source.run(new RecordingSink(), new AbortController().signal)).rejects.toThrow(/nowhere cannot be read/);
    await expect(source.ready).rejects.toThrow(/nowhere/);
  });
});

describe('changes', () => {
  it('sees atomic replacement, and delivers only the object that changed', async () => {
    await write('a.yaml', `${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.2')}`);
    const sink = await start();
    await replace('a.yaml', `# a line more\n${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.9')}`);
    await sink.until(() => address(sink, 'b') === '127.0.0.9');
    expect(sink.changes[1]?.upserts.map((object) => object.name)).toEqual(['b']);
    expect(sink.objects.get(key('a'))?.origin.line).toBe(2);
    expect(sink.objects.get(key('a'))?.origin.lineOf?.('spec.address')).toBe(8);
  });

  it('delivers a change of several files as one', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    await write('b.yaml', entry('b', '127.0.0.1'));
    const sink = await start();
    await Promise.all(['a', 'b'].map((name) => write(`.${name}.tmp`, entry(name, '127.0.0.2'))));
    // At once: the source waits for more for a few milliseconds only.
    for (const name of ['a', 'b']) renameSync(join(dir, `.${name}.tmp`), join(dir, `${name}.yaml`));
    await sink.until(() => address(sink, 'a') === '127.0.0.2');
    expect(address(sink, 'b')).toBe('127.0.0.2');
    expect(sink.changes).toHaveLength(2);
  });

  it('delivers a file that was renamed with one that was written in place just then', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    await write('b.yaml', entry('b', '127.0.0.1'));
    const sink = await start();
    await write('.a.tmp', entry('a', '127.0.0.2'));
    // Written a while ago: what is renamed into its place after its last write is known to be complete.
    await utimes(join(dir, '.a.tmp'), 1, 1);
    renameSync(join(dir, '.a.tmp'), join(dir, 'a.yaml'));
    writeFileSync(join(dir, 'b.yaml'), entry('b', '127.0.0.2'));
    await sink.until(() => address(sink, 'a') === '127.0.0.2');
    expect(address(sink, 'b')).toBe('127.0.0.2');
    expect(sink.changes).toHaveLength(2);
  });

  it('does not lose objects of a file that is caught half-written', async () => {
    const whole = `${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.2')}`;
    await write('a.yaml', whole);
    await write('other.yaml', entry('other', '127.0.0.1'));
    const sink = await start();
    const seen: string[][] = [];
    const record = sink.apply.bind(sink);
    sink.apply = (change) => {
      record(change);
      seen.push(sink.keys);
    };
    await truncate(join(dir, 'a.yaml'), 0);
    for (const part of ['apiVersion: networking.istio.io/v1\nkind: Work', 'loadEntry\n', 'metadata:\n  name: a\n']) {
      await appendFile(join(dir, 'a.yaml'), part);
      // Another file's change passes meanwhile, so that the source certainly has looked at the unfinished one.
      const before = sink.changes.length;
      await replace('other.yaml', entry('other', `127.0.1.${before}`));
      await sink.until(() => address(sink, 'other') === `127.0.1.${before}`);
    }
    await write('a.yaml', whole.replace('127.0.0.2', '127.0.0.5'));
    await sink.until(() => address(sink, 'b') === '127.0.0.5');
    expect(seen.length).toBeGreaterThan(3);
    for (const keys of seen) expect(keys).toEqual([key('a'), key('b'), key('other')]);
    expect(sink.problems).toEqual([]);
  });

  it('deletes what a deleted file declared', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    await write('b.yaml', entry('b', '127.0.0.1'));
    const sink = await start();
    await unlink(join(dir, 'a.yaml'));
    await sink.until(() => !sink.objects.has(key('a')));
    expect(sink.keys).toEqual([key('b')]);
  });

  it('takes an object out that a file no longer declares', async () => {
    await write('a.yaml', `${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.1')}`);
    const sink = await start();
    await write('a.yaml', entry('a', '127.0.0.1'));
    await sink.until(() => !sink.objects.has(key('b')));
    expect(sink.keys).toEqual([key('a')]);
  });

  it('says nothing of a renamed file but its new place', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    const sink = await start();
    await rename(join(dir, 'a.yaml'), join(dir, 'z.yaml'));
    await write('b.yaml', entry('b', '127.0.0.1'));
    await sink.until(() => sink.objects.has(key('b')));
    expect(sink.objects.get(key('a'))?.origin.file).toBe(join(dir, 'z.yaml'));
    expect(sink.changes.flatMap((change) => change.deletes)).toEqual([]);
    expect(sink.changes.flatMap((change) => change.upserts.map((object) => object.name))).toEqual(['a', 'b']);
  });

  it('survives a writer that moves the old file away first', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    const sink = await start();
    await rename(join(dir, 'a.yaml'), join(dir, 'a.yaml~'));
    await write('a.yaml', entry('a', '127.0.0.2'));
    await sink.until(() => address(sink, 'a') === '127.0.0.2');
    expect(sink.changes.flatMap((change) => change.deletes)).toEqual([]);
  });

  it('ends in the right state after 100 rapid rewrites', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    const sink = await start();
    for (let i = 1; i <= 100; i++) await (i % 2 === 0 ? replace : write)('a.yaml', entry('a', `127.0.1.${i}`));
    await sink.until(() => address(sink, 'a') === '127.0.1.100');
    expect(sink.keys).toEqual([key('a')]);
    expect(sink.problems).toEqual([]);
  });

  it('follows the swap of a mounted ConfigMap', async () => {
    await mkdir(join(dir, '..2024_1'));
    await write('..2024_1/a.yaml', entry('a', '127.0.0.1'));
    await symlink('..2024_1', join(dir, '..data'));
    await symlink('..data/a.yaml', join(dir, 'a.yaml'));
    const sink = await start();
    expect(sink.keys).toEqual([key('a')]);
    for (const [version, at] of [
      ['..2024_2', '127.0.0.2'],
      ['..2024_3', '127.0.0.3'],
    ] as const) {
      await mkdir(join(dir, version));
      await write(`${version}/a.yaml`, entry('a', at));
      await symlink(version, join(dir, '..data_tmp'));
      await rename(join(dir, '..data_tmp'), join(dir, '..data'));
      await sink.until(() => address(sink, 'a') === at);
    }
    expect(sink.changes.flatMap((change) => change.deletes)).toEqual([]);
  });

  it('sees the target of a link change outside of the folder', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'mizzen-outside-'));
    stops.push(() => rm(outside, { recursive: true }));
    await writeFile(join(outside, 'a.yaml'), entry('a', '127.0.0.1'));
    await symlink(join(outside, 'a.yaml'), join(dir, 'a.yaml'));
    const sink = await start();
    expect(address(sink, 'a')).toBe('127.0.0.1');
    await writeFile(join(outside, 'a.yaml'), entry('a', '127.0.0.2'));
    await sink.until(() => address(sink, 'a') === '127.0.0.2');
    expect(sink.keys).toEqual([key('a')]);
  });

  it('sees files of a folder that comes later', async () => {
    const sink = await start();
    await mkdir(join(dir, 'new.v1'));
    await writeFile(join(dir, 'new.v1/a.yaml'), entry('a', '127.0.0.1'));
    await sink.until(() => sink.objects.has(key('a')));
    await rm(join(dir, 'new.v1'), { recursive: true });
    await sink.until(() => !sink.objects.has(key('a')));
    expect(sink.keys).toEqual([]);
  });
});

describe('faults', () => {
  it('keeps the last good version of the objects of a file that does not parse', async () => {
    await write('a.yaml', `${entry('a', '127.0.0.1')}---\n${entry('b', '127.0.0.1')}`);
    const sink = await start();
    await write('a.yaml', `${entry('a', '127.0.0.2')}---\n${entry('b', '"127.0.0.2')}`);
    await sink.until(() => sink.problems.length > 0);
    expect(address(sink, 'a')).toBe('127.0.0.2');
    expect(address(sink, 'b')).toBe('127.0.0.1');
    expect(sink.problems[0]?.origin).toMatchObject({ file: join(dir, 'a.yaml'), line: 16 });
    expect(sink.problems[0]?.message).toMatch(/line 16, column \d+: .*quote.*; the last good version stays in force/);
    await write('a.yaml', entry('a', '127.0.0.3'));
    await sink.until(() => sink.problems.length === 0);
    expect(sink.keys).toEqual([key('a')]);
  });

  it('keeps the last good version of an object that is refused, and names the field', async () => {
    await write('a.yaml', entry('a', '127.0.0.1'));
    const sink = await start();
    await write('a.yaml', entry('a', '[127.0.0.2]'));
    await sink.until(() => sink.problems.length > 0);
    expect(address(sink, 'a')).toBe('127.0.0.1');
    expect(sink.problems).toEqual([
      expect.objectContaining({
        object: key('a'),
        path: 'spec.address',
        reason: 'Invalid',
        severity: 'error',
        message: 'must be a string; found a list; the last good version stays in force',
        origin: { file: join(dir, 'a.yaml'), line: 7 },
      }),
    ]);
  });

  it('chooses one of two declarations by the name of the file, and names both', async () => {
    await write('b.yaml', entry('a', '127.0.0.2'));
    const sink = await start();
    expect(address(sink, 'a')).toBe('127.0.0.2');
    await write('a.yaml', `# first\n${entry('a', '127.0.0.1')}`);
    await sink.until(() => sink.problems.length > 0);
    expect(address(sink, 'a')).toBe('127.0.0.1');
    expect(sink.problems).toEqual([expect.objectContaining({ object: key('a'), reason: 'Conflict' })]);
    expect(sink.problems[0]?.message).toContain(`${join(dir, 'b.yaml')}:1 declares what ${join(dir, 'a.yaml')}:2`);
    await unlink(join(dir, 'a.yaml'));
    await sink.until(() => address(sink, 'a') === '127.0.0.2');
    await sink.until(() => sink.problems.length === 0);
    expect(sink.keys).toEqual([key('a')]);
  });

  it('keeps everything when the folder itself vanishes', async () => {
    const mount = join(dir, 'mount');
    await mkdir(mount);
    await writeFile(join(mount, 'a.yaml'), entry('a', '127.0.0.1'));
    const sink = await start({ dir: mount });
    await rename(mount, join(dir, 'gone'));
    await sink.until(() => sink.problems.some((problem) => problem.message.includes('stays in force')));
    expect(sink.keys).toEqual([key('a')]);
  }, 20_000);
});
