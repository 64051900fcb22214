/**
 * How many certificates one core signs, by the kinds of keys. Run: `node bench/micro/sign.ts [seconds per row]`.
 *
 * "for a key": the proxy has made the key (CreateCertificate). "with a key": mizzen makes it too (the SDS secret `default`).
 */
import { X509Certificate } from 'node:crypto';
import { selfSignedRoot, type Authority } from '../../src/ca/authority.ts';
import { TrustBundle } from '../../src/ca/bundle.ts';
import { issuerFields } from '../../src/ca/certificate.ts';
import { generateKey, privateKeyPem, type KeyType } from '../../src/ca/keys.ts';
import { CertificateAuthority } from '../../src/ca/signer.ts';
import { WorkloadCertificates } from '../../src/ca/workload.ts';

const seconds = Number(process.argv[2] ?? 2);
const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' };

async function memoryCa(type: KeyType): Promise<CertificateAuthority> {
  const { privateKey } = await generateKey(type);
  const certificate = new X509Certificate(selfSignedRoot(privateKey, 'cluster.local', Date.now()));
  const { name, keyIdentifier = Buffer.alloc(20) } = issuerFields(certificate);
  const authority: Authority = {
    certificate,
    issuer: { name, keyIdentifier, key: privateKey },
    intermediates: [],
    roots: [certificate],
    root: certificate,
    notAfter: certificate.validToDate,
    generation: 'bench',
    source: 'memory',
    warnings: [],
  };
  return new CertificateAuthority({ authority, bundle: new TrustBundle('cluster.local', [], [certificate]), now: Date.now });
}

function measure(what: string, run: (i: number) => unknown): Record<string, string | number> {
  run(0);
  const begin = performance.now();
  let count = 0;
  while (performance.now() - begin < seconds * 1000) run(++count);
  const perSecond = count / ((performance.now() - begin) / 1000);
  return { what, 'per second': Math.round(perSecond), 'us each': Math.round(1e6 / perSecond) };
}

const rows: Record<string, string | number>[] = [];
for (const type of ['ec-p256', 'rsa-2048'] as const) {
  const ca = await memoryCa(type);
  const { publicKey } = generateKey('ec-p256');
  rows.push(measure(`${type} authority signs for an EC key`, () => ca.signWorkload(identity, publicKey)));
  rows.push(
    measure(`${type} authority signs with an EC key`, () => {
      const keys = generateKey('ec-p256');
      return [ca.signWorkload(identity, keys.publicKey), privateKeyPem(keys.privateKey)];
    }),
  );
}
const certificates = new WorkloadCertificates({ ca: await memoryCa('ec-p256') });
rows.push(
  measure('identity acquired, key, certificate and Envoy Secret made', (i) =>
    certificates.acquire({ ...identity, serviceAccount: `sa-${i}` }, () => {}).secret(),
  ),
);
const memory = process.memoryUsage().rss;
certificates.stop();
console.table(rows);
console.log(`RSS ${Math.round(memory / 1e6)} MB with all identities of the last row alive`);
