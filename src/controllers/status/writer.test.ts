import { expect, test } from 'vitest';
import type { Condition } from '../../apis/condition.ts';
import { objectKey } from '../../apis/object.ts';
import type { CollectionRef, ObjectBody, ObjectRef } from '../../kubernetes/api.ts';
import { ApiRefusal, type RawObject } from '../../kubernetes/list.ts';
import { StatusWriter } from './writer.ts';

const signal = new AbortController().signal;
const reviews = objectKey('VirtualService', 'shop', 'reviews');
const programmed: Condition = { type: 'Programmed', status: 'True', reason: 'Programmed', message: '2 of 2 proxies' };

interface Call {
  readonly verb: string;
  readonly ref: CollectionRef & Partial<ObjectRef>;
  readonly body?: ObjectBody;
}

function writerOver(present: (ref: ObjectRef) => RawObject | undefined, refuse?: (verb: string) => number | undefined) {
  const calls: Call[] = [];
  const answer = (verb: string, ref: Call['ref'], body?: ObjectBody): RawObject => {
    calls.push({ verb, ref, ...(body !== undefined && { body }) });
    const status = refuse?.(verb);
    if (status !== undefined) throw new ApiRefusal(status, 'no');
    return { metadata: { name: 'x', resourceVersion: '2' } };
  };
  const writer = new StatusWriter({
    api: {
      get: async (ref) => present(ref),
      create: async (ref, body) => answer('create', ref, body),
      mergePatch: async (ref, body) => answer('patch', ref, body),
    },
    wallClock: () => Date.UTC(2026, 0, 2),
    instance: 'mizzen-0',
  });
  return { writer, calls };
}

const raw = (conditions: unknown): RawObject => ({
  apiVersion: 'networking.istio.io/v1',
  metadata: { name: 'reviews', namespace: 'shop', uid: 'u-1', resourceVersion: '7' },
  status: { conditions, validationMessages: [] },
});

test('conditions of others stay, and the time of a condition that stays true', async () => {
  const { writer, calls } = writerOver(() => undefined);
  const other = { type: 'Synced', status: 'True', message: 'of another' };
  const before = { ...programmed, message: '1 of 1 proxies', lastTransitionTime: '2025-01-01T00:00:00Z' };
  expect(await writer.writeConditions(reviews, raw([before, other]), [programmed], signal)).toBe('written');
  expect(calls).toEqual([
    {
      verb: 'patch',
      ref: { apiVersion: 'networking.istio.io/v1', plural: 'virtualservices', namespace: 'shop', name: 'reviews', subresource: 'status' },
      body: {
        metadata: { resourceVersion: '7' },
        status: { conditions: [other, { ...programmed, lastTransitionTime: '2025-01-01T00:00:00Z' }] },
      },
    },
  ]);
});

test('a condition that turns has the time of now', async () => {
  const { writer, calls } = writerOver(() => undefined);
  const before = { ...programmed, status: 'False', lastTransitionTime: '2025-01-01T00:00:00Z' };
  await writer.writeConditions(reviews, raw([before]), [programmed], signal);
  expect(calls[0]?.body).toMatchObject({ status: { conditions: [{ lastTransitionTime: '2026-01-02T00:00:00Z' }] } });
});

test('what is there already is not written, and a conflict is told', async () => {
  const { writer, calls } = writerOver(
    () => undefined,
    () => 409,
  );
  expect(await writer.writeConditions(reviews, raw([{ ...programmed, lastTransitionTime: 'x' }]), [programmed], signal)).toBe('same');
  expect(calls).toEqual([]);
  expect(await writer.writeConditions(reviews, raw([]), [programmed], signal)).toBe('conflict');
});

test('an Event that is there is counted when the problem comes again, and left alone after a change of the leader', async () => {
  const known: RawObject = { metadata: { name: 'e', resourceVersion: '1' }, series: { count: 4 } };
  const { writer, calls } = writerOver(
    () => known,
    (verb) => (verb === 'create' ? 409 : undefined),
  );
  const text = { type: 'Warning', reason: 'Invalid', note: 'spec.hosts: is required' } as const;
  await writer.writeEvent(reviews, raw([]), text, false, signal);
  expect(calls.map(({ verb }) => verb)).toEqual(['create']);
  await writer.writeEvent(reviews, raw([]), text, true, signal);
  expect(calls[2]).toMatchObject({ verb: 'patch', body: { series: { count: 5 } } });
  expect(calls[2]?.ref.name).toBeDefined();
  for (const { body } of calls.slice(0, 2)) expect(body).toMatchObject({ metadata: { name: calls[2]?.ref.name } });
  expect(calls[0]?.body).toMatchObject({ regarding: { kind: 'VirtualService', namespace: 'shop', name: 'reviews', uid: 'u-1' } });
});

test('objects of remote clusters and unknown kinds are not asked for', async () => {
  const { writer } = writerOver(() => raw([]));
  expect(await writer.read(objectKey('Service', 'shop', 'a', 'east'), undefined, signal)).toBeUndefined();
  expect(await writer.read(objectKey('Nothing', 'shop', 'a'), undefined, signal)).toBeUndefined();
  expect(await writer.read(reviews, undefined, signal)).toBeDefined();
});

test('an Event has a note and a name that the API takes', async () => {
  const { writer, calls } = writerOver(() => undefined);
  const name = `${'a'.repeat(199)}-b`;
  const present = { ...raw([]), metadata: { ...raw([]).metadata, name } };
  await writer.writeEvent(reviews, present, { type: 'Warning', reason: 'Invalid', note: `x${'é'.repeat(900)}` }, false, signal);
  const [{ note, metadata }] = calls.map(({ body }) => body) as unknown as [{ note: string; metadata: { name: string } }];
  expect(note).toMatch(/^xé+$/);
  expect(Buffer.byteLength(note)).toBeGreaterThan(1_000);
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1_024);
  expect(metadata.name).toMatch(/^a{199}\.[a-z0-9]+$/);
});
