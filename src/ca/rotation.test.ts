import { beforeEach, describe, expect, it } from 'vitest';
import { newSelfSignedMaterial, readAuthority } from './authority.ts';
import { bundleVersion } from './bundle.ts';
import type { CaMaterial } from './material.ts';
import { laggingOf, type CaReport } from './report.ts';
import { decide, progressOf, type Facts, type Given } from './rotation.ts';
import { decodeState, encodeState, stableState, viewOf, type CaState, type CaView, type Origin } from './state.ts';
import { TestHierarchy } from './testing/hierarchy.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const hour = 3600_000;
const patienceMs = 60_000;

let now: number;
beforeEach(() => {
  now = start;
});

const root = (at = start): CaMaterial => newSelfSignedMaterial('cluster.local', at);
const viewed = (state: CaState): CaView => viewOf(state, 'Secret a/b');
const given = (origin: Origin, material: CaMaterial): Given => ({ origin, material, authority: readAuthority(material, (part) => part) });
const plugged = (material: CaMaterial): Partial<Facts> => ({ given: given('plugged-in', material), plugged: true });

/** A replica whose proxies have accepted everything of this state. */
function report(view: CaView, changes: Partial<CaReport> = {}): CaReport {
  return {
    bundle: view.version,
    signer: view.authority.generation,
    rotating: true,
    proxies: 2,
    agents: 0,
    roots: laggingOf([]),
    leaves: laggingOf([]),
    gone: [],
    found: [],
    ends: [],
    ...changes,
  };
}

function facts(view: CaView, changes: Partial<Facts> = {}): Facts {
  return {
    now,
    given: view.state.origin === 'self-signed' ? given('self-signed', view.state.signer) : undefined,
    plugged: false,
    request: undefined,
    replicas: [{ name: 'a', live: true, knownMs: hour, report: report(view) }],
    exists: () => true,
    newRoot: () => root(now),
    patienceMs,
    missingMs: hour,
    leafMs: 24 * hour,
    renewalFraction: 0.2,
    ...changes,
  };
}

function next(view: CaView, changes: Partial<Facts> = {}): CaView {
  const decision = decide(view, facts(view, changes));
  if (decision === undefined) throw new Error('nothing is decided');
  return viewed(decision.state);
}

const idle = (view: CaView, changes: Partial<Facts> = {}): void => expect(decide(view, facts(view, changes))).toBeUndefined();
const waits = (view: CaView, changes: Partial<Facts> = {}): readonly string[] => progressOf(view, facts(view, changes)).waits;

const stable = (): CaView => viewed(stableState('self-signed', root()));
const rotate = { request: { id: '1', action: 'rotate' } } as const;

/** As far as the new root signs. */
function signing(): CaView {
  const distributed = next(next(stable(), rotate));
  now += patienceMs;
  return next(distributed);
}

describe('a rotation that is asked for', () => {
  it('goes through its phases, each of which trusts what the one before it needs', () => {
    const before = stable();
    idle(before);
    const staged = next(before, rotate);
    expect(staged.state).toMatchObject({
      phase: 'staged',
      request: { id: '1', outcome: 'staged' },
      rotation: { reason: 'requested', stagedAt: start },
    });
    expect(staged.authority.generation).toBe(before.authority.generation);
    expect(staged.roots).toHaveLength(2);
    const distributed = next(staged);
    expect(distributed.state.phase).toBe('distributed');
    idle(distributed, { now: start + patienceMs - 1 });
    now += patienceMs;
    const signed = next(distributed);
    expect(signed.state.phase).toBe('signing');
    expect(signed.authority.generation).toBe(staged.next?.generation);
    // The same roots: what was seen accepted is still what proxies have.
    expect(signed.version).toBe(staged.version);
    const retired = next(signed);
    expect(retired.state).toMatchObject({ phase: 'retired', trusted: '', rotation: { retiredAt: now } });
    expect(retired.roots.map((r) => r.fingerprint256)).toEqual([signed.authority.root.fingerprint256]);
    idle(retired, rotate);
  });

  it('is asked for once by each request, and refused while one is under way or the authority is plugged in', () => {
    const staged = next(stable(), rotate);
    idle(staged, { ...rotate, replicas: undefined });
    const again = next(staged, { request: { id: '2', action: 'rotate' } });
    expect(again.state.request?.outcome).toBe('refused: a rotation is under way');
    expect(again.state.phase).toBe('staged');
    const refused = next(stable(), { ...rotate, ...plugged(new TestHierarchy('x', start).intermediate()), given: undefined });
    expect(refused.state).toMatchObject({
      phase: 'stable',
      request: { outcome: expect.stringMatching(/^refused: the authority is plugged in/) },
    });
  });

  it('is aborted before the new root signs, and not after', () => {
    const staged = next(stable(), rotate);
    const aborted = next(staged, { request: { id: '2', action: 'abort' } });
    expect(aborted.state).toMatchObject({ phase: 'stable', rotation: { abortedAt: start } });
    expect(aborted.roots).toHaveLength(1);
    const refused = next(signing(), { request: { id: '2', action: 'abort' } });
    expect(refused.state.phase).toBe('signing');
    expect(refused.state.request?.outcome).toMatch(/^refused/);
  });

  it('begins by itself when a fifth of the life of a self-signed root is left', () => {
    const view = stable();
    const { validFromDate: from, validToDate: to } = view.authority.root;
    const due = to.getTime() - (to.getTime() - from.getTime()) / 5;
    idle(view, { now: due - hour });
    expect(next(view, { now: due + hour }).state).toMatchObject({ phase: 'staged', rotation: { reason: 'expiry' } });
    idle(viewed(stableState('plugged-in', new TestHierarchy('x', start).intermediate())), { now: start + 23 * hour });
  });
});

describe('what a phase waits for', () => {
  it('is what is not known, and replicas that do not follow', () => {
    const staged = next(stable(), rotate);
    const at = (replicas: Facts['replicas']): readonly string[] => waits(staged, { replicas });
    expect(at(undefined)).toEqual(['it is not known which replicas there are']);
    expect(at([{ name: 'a', live: true, knownMs: hour, report: undefined }])).toEqual(['replica a does not follow yet']);
    expect(at([{ name: 'a', live: true, knownMs: hour, report: report(staged, { bundle: bundleVersion('') }) }])).toEqual([
      'replica a does not follow yet',
    ]);
    expect(at([{ name: 'a', live: false, knownMs: hour, report: report(staged) }])).toEqual([
      'replica a is gone; its proxies are given time to come back to another',
    ]);
    expect(at([{ name: 'a', live: true, knownMs: patienceMs - 1, report: report(staged) }])).toEqual([
      'replica a has just begun; proxies are given time to come to it',
    ]);
    for (const replicas of [undefined, [{ name: 'a', live: false, knownMs: hour, report: report(staged) }]]) idle(staged, { replicas });
  });

  it('is every proxy that lags, by name: one that lacks the roots before they sign, one that lacks its certificate before the old root goes', () => {
    const staged = next(stable(), rotate);
    const roots = { roots: laggingOf(['p.shop', 'q.shop']) };
    const replicas = [{ name: 'a', live: true, knownMs: hour, report: report(staged, roots) }];
    expect(progressOf(staged, facts(staged, { replicas }))).toEqual({
      waits: ['2 proxies of replica a: p.shop, q.shop'],
      lagging: ['p.shop', 'q.shop'],
    });
    idle(staged, { replicas });
    const signed = signing();
    idle(signed, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(signed, { leaves: laggingOf(['p.shop']) }) }] });
    expect(waits(signed, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(signed, roots) }] })).toEqual([]);
  });

  it('is a proxy that went away before it was done, until it is found elsewhere or its pod is gone', () => {
    const signed = signing();
    const lost = next(signed, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(signed, { gone: ['p.shop'] }) }] });
    expect(lost.state).toMatchObject({ phase: 'signing', missing: ['p.shop'] });
    idle(lost);
    expect(waits(lost)).toEqual(['1 proxy no longer connected: p.shop']);
    expect(
      next(lost, { replicas: [{ name: 'b', live: true, knownMs: hour, report: report(lost, { found: ['p.shop'] }) }] }).state.phase,
    ).toBe('retired');
    expect(next(lost, { exists: () => false }).state.phase).toBe('retired');
    expect(next(lost, { now: now + hour }).state.phase).toBe('retired');
  });

  it('is what lagged on a replica that is gone', () => {
    const signed = signing();
    const dead = { name: 'a', live: false, knownMs: hour, report: report(signed, { leaves: laggingOf(['p.shop']) }) };
    const lost = next(signed, { replicas: [dead, { name: 'b', live: true, knownMs: hour, report: report(signed) }] });
    expect(lost.state.missing).toEqual(['p.shop']);
  });

  it('is the end of certificates that were given by request, as nobody tells what their holders accept', () => {
    const before = stable();
    const end = { root: before.authority.generation, bundle: before.version, until: start + hour };
    const noted = next(before, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(before, { ends: [end] }) }] });
    const kept = start + hour + hour / 20;
    expect(noted.state.leaves).toEqual([{ ...end, until: kept }]);
    // With its margin it is no news for a while.
    idle(noted, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(noted, { ends: [{ ...end, until: kept - 1 }] }) }] });
    const staged = next(noted, rotate);
    idle(staged);
    expect(waits(staged)).toEqual([`certificates given by request without the new root are valid until ${new Date(kept).toISOString()}`]);
    now = kept + 1;
    const distributed = next(staged);
    expect(distributed.state.phase).toBe('distributed');
    const signed = next(distributed);
    const old = { root: before.authority.generation, bundle: signed.version, until: now + hour };
    const held = next(signed, { replicas: [{ name: 'a', live: true, knownMs: hour, report: report(signed, { ends: [old] }) }] });
    expect(held.state.phase).toBe('signing');
    expect(waits(held)).toEqual([expect.stringMatching(/^certificates given by request below the old root are valid until/)]);
    now += 2 * hour;
    expect(next(held).state.phase).toBe('retired');
  });

  it('is nothing once no certificate below the old root can be valid any more', () => {
    const signed = signing();
    const replicas = [{ name: 'a', live: true, knownMs: hour, report: report(signed, { leaves: laggingOf(['frozen.shop']) }) }];
    now += 24 * hour;
    idle(signed, { replicas });
    now += 2 * 60_000;
    expect(next(signed, { replicas }).state.phase).toBe('retired');
  });
});

describe('an authority that is plugged in', () => {
  it('of another root is rotated to, and cannot be pulled back by deleting it', () => {
    const before = stable();
    const material = new TestHierarchy('x', start).intermediate();
    const staged = next(before, plugged(material));
    expect(staged.state).toMatchObject({ phase: 'staged', origin: 'self-signed', rotation: { reason: 'cacerts' } });
    const distributed = next(staged, plugged(material));
    now += patienceMs;
    const signed = next(distributed, plugged(material));
    expect(signed.state).toMatchObject({ phase: 'signing', origin: 'plugged-in', signer: material });
    const retired = next(signed, plugged(material));
    // Gone, and the Secret of the self-signed one is still there.
    idle(retired, { given: given('self-signed', before.state.signer), plugged: false });
  });

  it('of the same root signs at once', () => {
    const hierarchy = new TestHierarchy('x', start);
    const first = viewed(stableState('plugged-in', hierarchy.intermediate()));
    const other = hierarchy.intermediate();
    const second = next(first, plugged(other));
    expect(second.state).toMatchObject({ phase: 'stable', signer: other, former: [first.authority.generation] });
    idle(second, plugged(other));
  });

  it('that no longer brings a root keeps that trusted until it can be retired', () => {
    const hierarchy = new TestHierarchy('x', start);
    const old = new TestHierarchy('old', start);
    const both = { ...hierarchy.intermediate(), roots: hierarchy.root.roots + old.root.roots };
    const first = viewed(stableState('plugged-in', both));
    const one = { ...both, roots: hierarchy.root.roots };
    const second = next(first, plugged(one));
    expect(second.state.phase).toBe('signing');
    expect(second.version).toBe(first.version);
    expect(next(second, plugged(one)).roots).toHaveLength(1);
  });

  it('that is changed before it signs is staged anew; that is put back ends the rotation', () => {
    const before = viewed(stableState('plugged-in', new TestHierarchy('x', start).intermediate()));
    const staged = next(before, plugged(new TestHierarchy('y', start).intermediate()));
    const third = new TestHierarchy('z', start).intermediate();
    const again = next(staged, plugged(third));
    expect(again.state).toMatchObject({ phase: 'staged', next: { material: third } });
    const back = next(again, plugged(before.state.signer));
    expect(back.state.phase).toBe('stable');
    expect(back.roots).toHaveLength(1);
  });

  it('whose rotation was aborted is not staged again by itself', () => {
    const before = viewed(stableState('plugged-in', new TestHierarchy('x', start).intermediate()));
    const other = plugged(new TestHierarchy('y', start).intermediate());
    const aborted = next(next(before, other), { ...other, request: { id: '1', action: 'abort' } });
    idle(aborted, { ...other, request: { id: '1', action: 'abort' } });
    expect(next(aborted, plugged(new TestHierarchy('z', start).intermediate())).state.phase).toBe('staged');
  });

  it('waits for the rotation before it, once that signs', () => {
    idle(signing(), { ...plugged(new TestHierarchy('z', start).intermediate()), replicas: undefined });
  });

  it('takes over at once from one that has expired', () => {
    const before = viewed(stableState('plugged-in', new TestHierarchy('x', start).intermediate()));
    now = start + 25 * hour;
    const other = new TestHierarchy('y', now).intermediate();
    expect(next(before, plugged(other)).state).toMatchObject({ phase: 'signing', signer: other });
  });

  it('can be left for a generated root, which the Secret of an earlier one does not undo', () => {
    const before = viewed(stableState('plugged-in', new TestHierarchy('x', start).intermediate()));
    const leftOver = given('self-signed', root(start - hour));
    const staged = next(before, { ...rotate, given: leftOver });
    expect(staged.state).toMatchObject({ phase: 'staged', next: { origin: 'self-signed' } });
    const distributed = next(staged, { given: leftOver });
    now += patienceMs;
    const signed = next(distributed, { given: leftOver });
    expect(signed.state.origin).toBe('self-signed');
    expect(next(signed, { given: leftOver }).state.phase).toBe('retired');
  });
});

describe('the state', () => {
  it('is the same after it was written and read', () => {
    for (const view of [stable(), next(stable(), rotate), signing()]) {
      expect(decodeState(encodeState(view.state), 'x')).toEqual(view.state);
    }
  });

  it('is refused with what is wrong', () => {
    const data = encodeState(stable().state);
    const without = (key: string): Record<string, string> => Object.fromEntries(Object.entries(data).filter(([name]) => name !== key));
    expect(() => decodeState(without('state.json'), 'Secret a/b')).toThrow('Secret a/b: state.json is missing');
    expect(() => decodeState(without('ca-key.pem'), 'Secret a/b')).toThrow('Secret a/b has no ca-key.pem');
    expect(() => decodeState({ ...data, 'state.json': '{' }, 'x')).toThrow('is no JSON');
    expect(() => decodeState({ ...data, 'state.json': '{"version":2}' }, 'x')).toThrow('is of version 2, this release reads version 1');
    expect(() => decodeState({ ...data, 'state.json': '{"version":1,"phase":"lost","origin":"self-signed"}' }, 'x')).toThrow(
      'no known phase',
    );
  });

  it('holds no key in the part that is readable', () => {
    expect(encodeState(signing().state)['state.json']).not.toContain('BEGIN');
  });
});
