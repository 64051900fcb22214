import { expect, test } from 'vitest';
import { parseSigningRequest } from '../../src/ca/csr.ts';
import { signingRequest } from './csr.ts';

test('the request is one that a certificate authority takes', () => {
  const { publicKey } = parseSigningRequest(signingRequest());
  expect(publicKey.asymmetricKeyType).toBe('rsa');
  expect(publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
});
