import { TrustBundle } from '../bundle.ts';
import { loadSelfSignedAuthority, type Authority } from '../authority.ts';
import { CertificateAuthority, type CertificateAuthorityOptions } from '../signer.ts';
import { testFolder } from '../../identity/testing/folder.ts';

export const testIdentity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' } as const;

export function testAuthority(now = Date.now(), trustDomain = 'cluster.local'): Authority {
  return loadSelfSignedAuthority(testFolder(), trustDomain, now);
}

/** A certificate authority with a root of its own. */
export function testCa(options: Partial<CertificateAuthorityOptions> = {}): CertificateAuthority {
  const now = options.now ?? Date.now;
  const authority = options.authority ?? testAuthority(now());
  return new CertificateAuthority({ bundle: new TrustBundle('cluster.local', [], authority.roots), now, ...options, authority });
}
