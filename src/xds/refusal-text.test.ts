import { describe, expect, test } from 'vitest';
import { refusalText } from './refusal-text.ts';
import { typeOf, World } from './testing/harness.ts';

test('keeps what proxies say', () => {
  expect(refusalText('Error adding/updating listener(s) x: unknown cluster')).toBe('Error adding/updating listener(s) x: unknown cluster');
});

test('leaves private keys out, also such that do not end, and bounds the rest', () => {
  const key = '-----BEGIN EC PRIVATE KEY-----\\nMHcC\nAQ==\\n-----END EC PRIVATE KEY-----';
  expect(refusalText(`inline_bytes: "${key}" and "${key}"`)).toBe('inline_bytes: "[redacted]" and "[redacted]"');
  expect(refusalText('-----BEGIN PRIVATE KEY-----\nMHcC')).toBe('[redacted]');
  expect(refusalText(`"inlineBytes":"${Buffer.from(key).toString('base64')}"`)).toBe('"inlineBytes":"[redacted]"');
  expect(refusalText('x'.repeat(4_000_000))).toHaveLength(65_536);
});

describe('what a stream keeps of a refusal', () => {
  const said = `invalid secret: -----BEGIN PRIVATE KEY-----\nMHcC\n-----END PRIVATE KEY-----${'x'.repeat(4_000_000)}`;
  const kept = expect.stringMatching(/^invalid secret: \[redacted\]x{65000,65536}$/) as string;

  function world(): World {
    const made = new World();
    made.source.part('own').set(typeOf('SDS'), 'default', '1');
    made.flush();
    return made;
  }

  test('delta', () => {
    const own = world();
    const client = own.delta();
    client.send('SDS', { sub: ['default'] });
    expect(client.got()).toEqual(['SDS default@1']);
    client.nack('SDS', said);
    expect(client.stream.types.get(typeOf('SDS'))?.lastError).toEqual(kept);
    expect(own.observer.events.join()).not.toContain('MHcC');
  });

  test('state of the world', () => {
    const own = world();
    const client = own.sotw();
    client.send('SDS', ['default']);
    client.got();
    client.send('SDS', ['default'], client.nonceOf('SDS'), said);
    expect(client.stream.types.get(typeOf('SDS'))?.lastError).toEqual(kept);
    expect(own.observer.events.join()).not.toContain('MHcC');
  });
});
