import { describe, expect, it, vi } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import type { Snapshot } from './snapshot.ts';
import { ResourceTable } from './table.ts';
import { nodeOf, openProxy, resources, snapshotOf } from './testing/snapshots.ts';

const services = 40;

function object(kind: string, name: string, spec: object, labels: Record<string, string> = {}): ConfigObject {
  return { kind, apiVersion: 'v1', namespace: 'shop', name, labels, annotations: {}, spec, origin: {} };
}

const service = (n: number, port = 9000): ConfigObject =>
  object('Service', `s${n}`, { clusterIP: `10.0.0.${n + 1}`, selector: { app: `s${n}` }, ports: [{ name: 'http', port }] });

const all = (port?: number): ConfigObject[] => Array.from({ length: services }, (_, n) => service(n, port));

/** What a snapshot without turns gives. */
function atOnce(objects: readonly ConfigObject[], name = 'client'): Record<string, string> {
  return resources(openProxy(snapshotOf(objects), nodeOf(name, 'shop')).parts);
}

interface Rig {
  readonly snapshot: Snapshot;
  /** Lets the next turn run; false when there is none. */
  turn(): Promise<boolean>;
  /** Turns until nothing is left to do, and how many. */
  finish(): Promise<number>;
}

/** A clock that shows a millisecond more each time it is read: a turn is over after a few entries. */
function rig(
  objects: readonly ConfigObject[],
  onFault?: Parameters<typeof snapshotOf>[1],
  now?: () => number,
  isServing = () => false,
): Rig {
  const later: (() => void)[] = [];
  let ms = 0;
  const snapshot = snapshotOf(objects, onFault, undefined, undefined, now, undefined, {
    now: () => ms++,
    later: (task) => later.push(task),
    longestMs: 5,
    isServing,
  });
  const turn = async (): Promise<boolean> => {
    const task = later.shift();
    task?.();
    // What awaits the turn goes on.
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return task !== undefined;
  };
  const finish = async (): Promise<number> => {
    let turns = 0;
    while (await turn()) turns++;
    return turns;
  };
  return { snapshot, turn, finish };
}

describe('a translation in turns', () => {
  it('places a proxy when it is done, with what a translation at once gives', async () => {
    const { snapshot, turn, finish } = rig(all());
    const proxy = openProxy(snapshot, nodeOf('client', 'shop'));
    let placed = 0;
    proxy.onPartsChanged(() => placed++);
    for (let i = 0; i < 5; i++) await turn();
    expect([snapshot.settled, proxy.placed, proxy.parts.length]).toEqual([false, false, 0]);
    expect(await finish()).toBeGreaterThan(20);
    expect([snapshot.settled, proxy.placed, placed]).toEqual([true, true, 1]);
    expect(resources(proxy.parts)).toEqual(atOnce(all()));
  });

  it('finds out in turns too which of many objects led to what', async () => {
    const { snapshot, turn } = rig(all(), undefined, () => 0);
    openProxy(snapshot, nodeOf('client', 'shop'));
    while (await turn());
    let inTurn = 0;
    const turns: number[] = [];
    const original = ResourceTable.prototype.trace;
    const spy = vi.spyOn(ResourceTable.prototype, 'trace').mockImplementation(function trace(this: ResourceTable, ...asked) {
      if (!snapshot.settled) inTurn++;
      return original.apply(this, asked);
    });
    for (const changed of all(9001)) snapshot.objects.put(changed);
    const flushed = snapshot.flushInTurns();
    while (await turn()) {
      turns.push(inTurn);
      inTurn = 0;
    }
    await flushed;
    spy.mockRestore();
    // Clusters, endpoints and virtual hosts of the services.
    expect(turns.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(3 * services);
    expect(Math.max(...turns)).toBeLessThanOrEqual(5);
  });

  it('shows what comes meanwhile with the next one, and nothing in between', async () => {
    const { snapshot, turn, finish } = rig(all());
    const proxy = openProxy(snapshot, nodeOf('client', 'shop'));
    await finish();
    const before = resources(proxy.parts);
    const seen: Record<string, string>[] = [];
    snapshot.onSettled(() => seen.push(resources(proxy.parts)));

    for (const changed of all(9001)) snapshot.objects.put(changed);
    const flushed = snapshot.flushInTurns();
    for (let i = 0; i < 5; i++) await turn();
    expect(snapshot.settled).toBe(false);
    snapshot.whenSettled(() => {
      for (const changed of all(9002)) snapshot.objects.put(changed);
    });
    await finish();
    await flushed;
    expect(seen).toEqual([atOnce(all(9001))]);
    const next = snapshot.flushInTurns();
    await finish();
    await next;
    expect(seen).toEqual([atOnce(all(9001)), atOnce(all(9002))]);
    expect(seen[0]).not.toEqual(before);
  });

  it('is finished by whoever needs it at once', async () => {
    const { snapshot, turn, finish } = rig(all());
    const proxy = openProxy(snapshot, nodeOf('client', 'shop'));
    for (let i = 0; i < 5; i++) await turn();
    snapshot.flush();
    expect(resources(proxy.parts)).toEqual(atOnce(all()));
    await finish();
    expect(resources(proxy.parts)).toEqual(atOnce(all()));
  });

  it('places those that come while it runs, and forgets those that go', async () => {
    const { snapshot, turn, finish } = rig(all());
    const first = openProxy(snapshot, nodeOf('client', 'shop'));
    for (let i = 0; i < 5; i++) await turn();
    const second = openProxy(snapshot, nodeOf('second', 'shop'));
    const third = openProxy(snapshot, nodeOf('third', 'other'));
    first.close();
    third.close();
    await finish();
    expect([first.placed, second.placed, third.placed]).toEqual([false, true, false]);
    expect(resources(second.parts)).toEqual(atOnce(all(), 'second'));
  });

  it('places hundreds that come at once some at a time, and lets those be served meanwhile', async () => {
    const { snapshot, turn } = rig(all(), undefined, undefined, () => true);
    const proxies = Array.from({ length: 100 }, (_, n) => openProxy(snapshot, nodeOf(`client-${n}`, 'shop')));
    const placed = (): number => proxies.filter((proxy) => proxy.placed).length;
    while (placed() === 0 || !snapshot.settled) await turn();
    expect(placed()).toBeLessThan(50);
    // They have something to send, for as long as their parts took.
    let settled = 0;
    for (; snapshot.settled; settled++) await turn();
    expect(settled).toBeGreaterThan(10);
    while (await turn());
    expect(placed()).toBe(100);
  });

  it('lets those go on who came while a proxy was placed, though nothing has changed', async () => {
    const { snapshot, turn, finish } = rig(all());
    openProxy(snapshot, nodeOf('client', 'shop'));
    await finish();
    const waiting: boolean[] = [];
    snapshot.onSettled((changed) => waiting.push(changed.size > 0));
    openProxy(snapshot, nodeOf('client-2', 'shop'));
    await turn();
    await finish();
    expect(waiting).toEqual([false]);
    expect(snapshot.settled).toBe(true);
  });

  it('ends the stream of a proxy that it has no parts for', async () => {
    const faults: string[] = [];
    const { snapshot, finish } = rig(all(), (collection) => faults.push(collection));
    vi.spyOn(snapshot.mesh, 'sidecarOf').mockImplementation(() => {
      throw new Error('a fault of ours');
    });
    const proxy = openProxy(snapshot, nodeOf('client', 'shop'));
    let reason = '';
    proxy.onFailed((why) => (reason = why));
    await finish();
    expect(reason).toContain('there is no configuration for sidecar~11.9.9.9~client.shop');
    expect(faults).toEqual(['plans']);
  });

  it.each([0, 1, 2, 3])('places those that come while a translation runs that ends with a fault, begun %i turns before', async (before) => {
    const faults: string[] = [];
    const { snapshot, turn, finish } = rig(all(), (collection) => faults.push(collection));
    const end = snapshot.onSettled(() => {
      end();
      throw new Error('a fault of ours');
    });
    // The fault is met by whoever lets the last turn run.
    const change = snapshot.flushInTurns().catch(() => {});
    for (let i = 0; i < before; i++) await turn();
    const proxy = openProxy(snapshot, nodeOf('client', 'shop'));
    await finish();
    await change;
    const later = openProxy(snapshot, nodeOf('later', 'shop'));
    await finish();
    expect([proxy.placed, later.placed]).toEqual([true, true]);
    expect(faults.length).toBeLessThanOrEqual(1);
  });
});
