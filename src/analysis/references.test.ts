import { describe, expect, it } from 'vitest';
import type { ConfigObject, ObjectKey } from '../apis/object.ts';
import { Mesh } from '../mesh/mesh.ts';
import { Objects } from '../mesh/objects.ts';
import { Graph } from '../store/graph.ts';
import { References } from './references.ts';

function object(kind: string, name: string, spec: object, creationTimestamp?: string): ConfigObject {
  return {
    kind,
    apiVersion: 'v1',
    namespace: 'a',
    name,
    labels: {},
    annotations: {},
    spec,
    origin: {},
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
}

function watch(objects: readonly ConfigObject[]): {
  put: (o: ConfigObject) => void;
  remove: (key: string) => void;
  problems: () => string[];
} {
  const held = new Objects(new Graph());
  const throwFault = (collection: string, key: string, error: unknown): never => {
    throw new Error(`${collection} ${key}`, { cause: error });
  };
  const mesh = new Mesh(held, { onFault: throwFault, untranslated: () => [] });
  const references = new References(mesh, throwFault);
  for (const o of objects) held.put(o);
  held.graph.flush();
  return {
    put: (o) => {
      held.put(o);
      held.graph.flush();
    },
    remove: (key) => {
      held.remove(key as ObjectKey);
      held.graph.flush();
    },
    problems: () =>
      references
        .problems()
        .map((p) => `${p.object} ${p.path} ${p.reason}`)
        .sort(),
  };
}

const reviews = object('Service', 'reviews', { selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80 }] });
const route = (destination: object, gateways?: string[]): ConfigObject =>
  object('VirtualService', 'vs', {
    hosts: ['reviews'],
    ...(gateways === undefined ? {} : { gateways }),
    http: [{ route: [{ destination }] }],
  });

describe('references', () => {
  it.each([
    [{ host: 'reviews' }, []],
    [{ host: 'reviews', port: { number: 80 } }, []],
    [{ host: 'review' }, ['VirtualService/a/vs spec.http[0].route[0].destination.host RefNotFound']],
    [{ host: 'reviews', port: { number: 81 } }, ['VirtualService/a/vs spec.http[0].route[0].destination.port.number RefNotFound']],
    [{ host: 'reviews', subset: 'v9' }, ['VirtualService/a/vs spec.http[0].route[0].destination.subset RefNotFound']],
  ])('of a route to %j: %j', (destination, expected) => {
    expect(watch([reviews, route(destination)]).problems()).toEqual(expected);
  });

  it('end when what was missing appears, and begin again when it goes', () => {
    const mesh = watch([route({ host: 'reviews', subset: 'v1' })]);
    expect(mesh.problems()).toEqual(['VirtualService/a/vs spec.http[0].route[0].destination.host RefNotFound']);
    mesh.put(reviews);
    expect(mesh.problems()).toEqual(['VirtualService/a/vs spec.http[0].route[0].destination.subset RefNotFound']);
    mesh.put(object('DestinationRule', 'dr', { host: 'reviews', subsets: [{ name: 'v1', labels: { version: 'v1' } }] }));
    expect(mesh.problems()).toEqual([]);
    mesh.remove('Service/a/reviews');
    expect(mesh.problems()).toEqual([
      'DestinationRule/a/dr spec.host RefNotFound',
      'VirtualService/a/vs spec.http[0].route[0].destination.host RefNotFound',
    ]);
    mesh.remove('VirtualService/a/vs');
    expect(mesh.problems()).toEqual(['DestinationRule/a/dr spec.host RefNotFound']);
  });

  it('of gateways', () => {
    expect(watch([reviews, route({ host: 'reviews' }, ['gw', 'mesh'])]).problems()).toEqual([
      'VirtualService/a/vs spec.gateways[0] RefNotFound',
    ]);
  });

  it('name the younger of two VirtualServices for one host', () => {
    const spec = { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] };
    const mesh = watch([
      reviews,
      object('VirtualService', 'a-young', spec, '2026-02-01T00:00:00Z'),
      object('VirtualService', 'z-old', spec, '2026-01-01T00:00:00Z'),
    ]);
    expect(mesh.problems()).toEqual(['VirtualService/a/a-young spec.hosts[0] Conflict']);
  });

  it('a label of lazy mode without a meaning, until it has one', () => {
    const labelled = (word: string): ConfigObject => ({
      ...object('WorkloadEntry', 'w', { address: '1.2.3.4' }),
      labels: { 'mizzen.io/lazy': word },
    });
    const mesh = watch([labelled('yes')]);
    expect(mesh.problems()).toEqual(['WorkloadEntry/a/w metadata.labels["mizzen.io/lazy"] Invalid']);
    mesh.put(labelled('false'));
    expect(mesh.problems()).toEqual([]);
  });

  it('a subset that an older rule for the host has too', () => {
    const subsets = (...names: string[]): object => ({
      host: 'reviews',
      subsets: names.map((name) => ({ name, labels: { version: name } })),
    });
    const mesh = watch([
      reviews,
      object('DestinationRule', 'new', subsets('v1', 'v2'), '2026-02-02T00:00:00Z'),
      object('DestinationRule', 'old', subsets('v2', 'v3'), '2026-01-01T00:00:00Z'),
    ]);
    expect(mesh.problems()).toEqual(['DestinationRule/a/new spec.subsets[1].name Conflict']);
    mesh.remove('DestinationRule/a/old');
    expect(mesh.problems()).toEqual([]);
  });
});
