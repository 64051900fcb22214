import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../identity/testing/folder.ts';
import { generateKey, privateKeyPem } from './keys.ts';
import { MountedCertificate } from './mounted.ts';
import { testAuthority, testCa } from './testing/authority.ts';
import { FakeClock } from './testing/clock.ts';

function setUp() {
  const folder = testFolder();
  const ca = testCa();
  const certificateFile = join(folder, 'tls.crt');
  const keyFile = join(folder, 'tls.key');
  /** As a file is replaced: whole. */
  const replace = (file: string, text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const issue = (): { readonly certificate: string; readonly key: string } => {
    const { publicKey, privateKey } = generateKey('ec-p256');
    const { leaf } = ca.signServing(['istiod.istio-system.svc'], publicKey);
    return { certificate: leaf, key: privateKeyPem(privateKey) };
  };
  const first = issue();
  replace(certificateFile, first.certificate);
  replace(keyFile, first.key);
  const clock = new FakeClock();
  const errors: string[] = [];
  const open = (): MountedCertificate =>
    new MountedCertificate({ certificateFile, keyFile, bundle: ca.bundle, clock, onError: (error) => errors.push(String(error)) });
  return { ca, certificateFile, keyFile, replace, issue, first, clock, errors, open };
}

describe('a mounted serving certificate', () => {
  it('is read again as it is replaced, and its clients are checked by the roots of the moment', () => {
    const { ca, certificateFile, keyFile, replace, issue, first, clock, errors, open } = setUp();
    chmodSync(keyFile, 0o644);
    const mounted = open();
    let changes = 0;
    mounted.onChange(() => changes++);
    expect(mounted.current).toEqual({ certificateChain: first.certificate, privateKey: first.key, clientRoots: ca.bundle.pem });
    const second = issue();
    replace(certificateFile, second.certificate);
    clock.advance(10_000);
    // Half of it is told once, and not used.
    expect(errors).toEqual([expect.stringContaining('tls.crt does not belong to the key')]);
    expect(mounted.current.certificateChain).toBe(first.certificate);
    replace(keyFile, second.key);
    clock.advance(5_000);
    expect([mounted.current.certificateChain, mounted.current.privateKey]).toEqual([second.certificate, second.key]);
    expect(changes).toBe(1);
    ca.bundle.update(ca.authority.roots, testAuthority().roots);
    expect(changes).toBe(2);
    expect(mounted.current.clientRoots).toBe(ca.bundle.pem);
    mounted.stop();
    expect(clock.timers).toBe(0);
  });

  it('must be there at the start', () => {
    const { certificateFile, replace, open } = setUp();
    replace(certificateFile, 'nothing');
    expect(() => open()).toThrow('tls.crt holds no PEM certificate');
  });
});
