import { indexPath } from '../../lib/path.ts';
import type { JWTRule, RequestAuthentication } from '../request-authentication.ts';
import type { Report } from '../structure.ts';
import { checkTargets } from './selector.ts';

export function validateRequestAuthentication({ spec, annotations }: RequestAuthentication, report: Report): void {
  checkTargets(spec, report);
  if (annotations['istio.io/dry-run'] !== undefined) report('metadata.annotations["istio.io/dry-run"]', 'is not supported here');
  spec.jwtRules?.forEach((rule, index) => checkJwtRule(rule, indexPath('spec.jwtRules', index), report));
}

function checkJwtRule({ issuer = '', jwks = '' }: JWTRule, path: string, report: Report): void {
  if (issuer === '') report(`${path}.issuer`, 'is required');
  if (jwks !== '') checkKeys(jwks, `${path}.jwks`, report);
}

/** A JSON Web Key Set (RFC 7517): an object with a list of keys, each of a type. */
function checkKeys(jwks: string, path: string, report: Report): void {
  let keys: unknown;
  try {
    keys = (JSON.parse(jwks) as { keys?: unknown } | null)?.keys;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!Array.isArray(keys) || keys.some((key) => typeof (key as { kty?: unknown } | null)?.kty !== 'string')) {
    report(path, 'must be a JSON Web Key Set: {"keys": [{"kty": ...}]}');
  } else if (keys.some((key: object) => 'd' in key)) {
    report(path, 'has a private key; publish the public part only', 'Invalid', 'warning');
  }
}
