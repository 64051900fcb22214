/** What other replicas answer on their monitoring ports. They are believed in what they say of their own proxies, and limited in how much and how long. */
import { isIP } from 'node:net';
import { isAskable, maxObjectsAsked, type ConvergenceAnswer } from '../admin/convergence.ts';

const limitMs = 3_000;
const maxBytes = 4 * 1024 * 1024;
/** As many as a replica tells. */
const maxRefused = 1_000;

/** A request with all its headers may have 16 KiB (Node's limit), and 50 objects with the longest names would have 20. */
const maxQuery = 8 * 1024;

/** How far objects have come on one replica alone; undefined where it does not answer in time and in form. */
export async function askPeer(address: string, objects: readonly string[]): Promise<ConvergenceAnswer | undefined> {
  if (objects.length > maxObjectsAsked) return undefined;
  const answers = await Promise.all(queriesFor(objects).map((query) => getJson(address, `/debug/convergence?${query}`)));
  if (!answers.every(isAnswer)) return undefined;
  const [first] = answers;
  return first === undefined ? undefined : { ...first, objects: answers.flatMap((answer) => answer.objects) };
}

function queriesFor(objects: readonly string[]): string[] {
  const queries: string[] = [];
  for (const object of objects) {
    const asked = `&object=${encodeURIComponent(object)}`;
    const last = queries.at(-1);
    if (last === undefined || last.length + asked.length > maxQuery) queries.push(`peers=false${asked}`);
    else queries[queries.length - 1] = last + asked;
  }
  return queries;
}

/** Objects that proxies of another replica refuse; none where it does not answer. */
export async function refusedAtPeer(address: string): Promise<readonly string[]> {
  const answer = await getJson(address, '/debug/convergence/refused');
  if (!Array.isArray(answer) || answer.length > maxRefused) return [];
  return answer.filter((object: unknown) => typeof object === 'string' && isAskable(object));
}

/** It comes from a Lease, which others may be able to write: only what can be a replica's is asked, and nothing but this page of it. */
function isAddress(address: string): boolean {
  const [, bracketed, bare = '', port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? [];
  return port !== undefined && (bracketed === undefined ? isIP(bare) === 4 : isIP(bracketed) === 6);
}

async function getJson(address: string, path: string): Promise<unknown> {
  if (!isAddress(address)) return undefined;
  try {
    const response = await fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(limitMs), redirect: 'error' });
    if (!response.ok) return undefined;
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > maxBytes) return undefined;
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    // It has gone or does not speak JSON: no answer either way.
    return undefined;
  }
}

function isAnswer(value: unknown): value is ConvergenceAnswer {
  if (!isRecord(value) || typeof value['replica'] !== 'string' || !Array.isArray(value['objects'])) return false;
  return value['objects'].every(
    (report: unknown) =>
      isRecord(report) &&
      typeof report['object'] === 'string' &&
      typeof report['exists'] === 'boolean' &&
      typeof report['pending'] === 'boolean' &&
      Array.isArray(report['lagging']) &&
      report['lagging'].every(isRecord) &&
      Array.isArray(report['problems']) &&
      report['problems'].every(isProblem) &&
      isRecord(report['proxies']) &&
      Number.isSafeInteger(report['proxies']['total']) &&
      Number.isSafeInteger(report['proxies']['acked']),
  );
}

function isProblem(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { path, reason, message, toReaders = '' } = value;
  return [path, reason, message, toReaders].every((text) => typeof text === 'string');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
