import type { ConfigObject } from './object.ts';
import { securityKind } from './kind.ts';
import { map, message, oneOfWords, rules, type Spec } from './schema.ts';
import { policyWorkloadSelector } from './common.ts';
import { portKeys, portLevelNeedsSelector } from './rules.ts';

export const mutualTls = message({ mode: oneOfWords(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']) });
export type MutualTLS = Spec<typeof mutualTls>;

export const peerAuthenticationSpec = message(
  { mtls: mutualTls, portLevelMtls: map(mutualTls, { ...rules(portKeys), minProperties: 1 }), selector: policyWorkloadSelector },
  [],
  rules(portLevelNeedsSelector),
);
export type PeerAuthenticationSpec = Spec<typeof peerAuthenticationSpec>;
export type PeerAuthentication = ConfigObject<'PeerAuthentication', PeerAuthenticationSpec>;

export const peerAuthentication = securityKind({
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
  shortNames: ['pa'],
  schema: peerAuthenticationSpec,
  columns: [
    { name: 'Mode', type: 'string', jsonPath: '.spec.mtls.mode', description: 'Defines the mTLS mode used for peer authentication.' },
  ],
});
