import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CredentialFault, textOf } from './fault.ts';

/** PEM files are a few KiB. */
const maxBytes = 1024 * 1024;

/** The file's text; undefined if there is none. `secret` files that others can read, or that are somebody else's, are refused. */
export function readStateFile(path: string, kind: 'secret' | 'public'): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CredentialFault('file', `${path}: ${textOf(error)}`, { cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new CredentialFault('file', `${path} is not a regular file`);
    if (stat.size > maxBytes) throw new CredentialFault('file', `${path} has ${stat.size} bytes, at most ${maxBytes} are read`);
    if (kind === 'secret') refuseReadable(path, stat.mode, stat.uid);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

function refuseReadable(path: string, mode: number, owner: number): void {
  if ((mode & 0o077) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new CredentialFault(
      'file',
      `${path} has mode ${octal}: a private key that others can read is not used. Make it "chmod 600", and replace the key if others have had access`,
    );
  }
  const user = process.geteuid?.();
  if (user !== undefined && user !== 0 && owner !== user) {
    throw new CredentialFault('file', `${path} belongs to user ${owner}, not to user ${user} who runs this`);
  }
}

/** Whether all users can read the file; false when there is none. For files that others put there and whose mode is not ours to choose. */
export function isWorldReadable(path: string): boolean {
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0;
}

/** Replaces the file as a whole: a reader sees the old or the new text. */
export function replaceStateFile(path: string, text: string, kind: 'secret' | 'public'): void {
  const partial = writePartial(path, text, kind);
  try {
    renameSync(partial, path);
  } catch (error) {
    unlinkSync(partial);
    throw new CredentialFault('file', `${path}: ${textOf(error)}`, { cause: error });
  }
}

/**
 * The file's text, made by `create` if there is none. When several processes start at once, one of them writes and all get the same text.
 */
export function loadOrCreateStateFile(path: string, kind: 'secret' | 'public', create: () => string): string {
  const kept = readStateFile(path, kind);
  if (kept !== undefined) return kept;
  const partial = writePartial(path, create(), kind);
  try {
    linkSync(partial, path); // unlike rename it fails if the name is taken
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new CredentialFault('file', `${path}: ${textOf(error)}`, { cause: error });
  } finally {
    unlinkSync(partial);
  }
  const text = readStateFile(path, kind);
  if (text === undefined) throw new CredentialFault('file', `${path} vanished while it was created`);
  return text;
}

function writePartial(path: string, text: string, kind: 'secret' | 'public'): string {
  const partial = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const fd = openSync(partial, 'wx', kind === 'secret' ? 0o600 : 0o644);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    return partial;
  } catch (error) {
    throw new CredentialFault('file', `${path}: ${textOf(error)}`, { cause: error });
  }
}
