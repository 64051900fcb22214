import { describe, expect, it } from 'vitest';
import { objectKey, type ConfigObject } from '../apis/object.ts';
import { snapshotOf } from '../snapshot/testing/snapshots.ts';
import type { MeshAuthorizationPolicy } from './model.ts';
import { narrowest } from './undecided.ts';

type Action = NonNullable<MeshAuthorizationPolicy['spec']['action']>;

function policy(name: string, action: Action | undefined, undecidedTag?: string): MeshAuthorizationPolicy {
  return {
    ...{ object: objectKey('AuthorizationPolicy', 'shop', name), name, namespace: 'shop', untranslated: [] },
    spec: action === undefined ? {} : { action },
    ...(undecidedTag !== undefined && { undecidedTag }),
  };
}

const named = (policies: readonly MeshAuthorizationPolicy[]): string =>
  narrowest(policies)
    .map(({ name, untranslated }) => `${name}${untranslated.length > 0 ? ' held' : ''}`)
    .join();

describe('AuthorizationPolicies of which nobody knows whose they are', () => {
  it('refuse what DENY refuses', () => {
    expect(named([policy('own', 'ALLOW'), policy('deny', 'DENY', 'prod')])).toBe('own,deny');
  });

  it('allow nothing beside what is allowed for sure', () => {
    expect(named([policy('own', undefined), policy('more', 'ALLOW', 'prod')])).toBe('own');
  });

  it('close what nothing else closes', () => {
    expect(named([policy('deny', 'DENY'), policy('one', 'ALLOW', 'prod'), policy('two', undefined, 'prod')])).toBe('deny,one,two');
  });

  it('allow nothing where each may be the only one', () => {
    expect(named([policy('one', 'ALLOW', 'prod'), policy('two', 'ALLOW', 'canary')])).toBe('one held,two held');
  });

  it('stay where a dry run is the only other, and where they cannot be read', () => {
    expect(named([{ ...policy('dry', 'ALLOW'), dryRun: true }, policy('one', 'ALLOW', 'prod')])).toBe('dry,one');
    expect(named([policy('own', 'ALLOW'), { ...policy('broken', undefined, 'prod'), untranslated: ['spec'] }])).toBe('own,broken held');
  });
});

describe('PeerAuthentications of which nobody knows whose they are', () => {
  const peer = (name: string, spec: object, undecidedTag?: string): ConfigObject => ({
    ...{ kind: 'PeerAuthentication', apiVersion: 'security.istio.io/v1', name, namespace: 'shop', labels: {}, annotations: {} },
    ...{ spec, origin: {}, creationTimestamp: `2026-01-0${name}T00:00:00Z` },
    ...(undecidedTag !== undefined && { undecidedTag }),
  });
  const of = (...objects: ConfigObject[]) => snapshotOf(objects).mesh.peerAuthentication('shop', { app: 'web' });
  const web = { selector: { matchLabels: { app: 'web' } } };

  it('close and do not open', () => {
    expect(of(peer('1', { mtls: { mode: 'STRICT' } }, 'prod'))).toEqual({ mode: 'STRICT', ports: {} });
    expect(of(peer('1', { mtls: { mode: 'DISABLE' } }, 'prod'), peer('2', { mtls: { mode: 'STRICT' } })).mode).toBe('STRICT');
    expect(of(peer('1', { ...web, mtls: { mode: 'DISABLE' } }, 'prod'), peer('2', { mtls: { mode: 'STRICT' } })).mode).toBe('STRICT');
  });

  it('have no say where another is nearer for sure', () => {
    expect(of(peer('1', { mtls: { mode: 'STRICT' } }, 'prod'), peer('2', { ...web, mtls: { mode: 'PERMISSIVE' } })).mode).toBe(
      'PERMISSIVE',
    );
  });

  it('count for each label by itself, and for ports too', () => {
    const open = peer('1', { mtls: { mode: 'DISABLE' } }, 'canary');
    const closed = peer('2', { mtls: { mode: 'STRICT' } }, 'prod');
    expect(of(open, closed).mode).toBe('STRICT');
    const ports = { 80: { mode: 'STRICT' }, 81: { mode: 'DISABLE' } };
    expect(of(peer('1', { ...web, portLevelMtls: ports }, 'prod'))).toEqual({
      mode: 'PERMISSIVE',
      ports: { 80: 'STRICT', 81: 'PERMISSIVE' },
    });
  });
});
