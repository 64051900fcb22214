import type { ConfigObject } from './object.ts';
import { securityKind } from './kind.ts';
import { bool, duration, list, message, oneOfWords, rules, type Spec, string } from './schema.ts';
import { httpUrl, oneKeySource, selectorOrTargets } from './rules.ts';
import { policyTargetReference, policyWorkloadSelector } from './common.ts';

export const jwtRule = message(
  {
    audiences: list(string({ minLength: 1 })),
    forwardOriginalToken: bool(),
    fromCookies: list(string({ minLength: 1 })),
    fromHeaders: list(message({ name: string({ minLength: 1 }), prefix: string() }, ['name'])),
    fromParams: list(string({ minLength: 1 })),
    issuer: string({ minLength: 1 }),
    jwks: string(),
    jwks_uri: string({ ...rules(httpUrl), maxLength: 2048, minLength: 1 }),
    jwksUri: string({ ...rules(httpUrl), maxLength: 2048, minLength: 1 }),
    outputClaimToHeaders: list(
      message({ claim: string({ minLength: 1 }), header: string({ minLength: 1, pattern: '^[-_A-Za-z0-9]+$' }) }, ['header', 'claim']),
    ),
    outputPayloadToHeader: string(),
    presence: oneOfWords(['OPTIONAL', 'REQUIRED']),
    spaceDelimitedClaims: list(string({ minLength: 1 }), { maxItems: 64 }),
    timeout: duration(),
  },
  [],
  rules(oneKeySource),
);
export type JWTRule = Spec<typeof jwtRule>;

export const requestAuthenticationSpec = message(
  {
    jwtRules: list(jwtRule, { maxItems: 4096 }),
    selector: policyWorkloadSelector,
    targetRef: policyTargetReference,
    targetRefs: list(policyTargetReference, { maxItems: 16 }),
  },
  [],
  rules(selectorOrTargets),
);
export type RequestAuthenticationSpec = Spec<typeof requestAuthenticationSpec>;
export type RequestAuthentication = ConfigObject<'RequestAuthentication', RequestAuthenticationSpec>;

export const requestAuthentication = securityKind({
  kind: 'RequestAuthentication',
  plural: 'requestauthentications',
  shortNames: ['ra'],
  schema: requestAuthenticationSpec,
});
