import type { ConfigObject } from './object.ts';
import { securityKind } from './kind.ts';
import { map, message, oneOfWords, rules, type Spec } from './schema.ts';
import { policyWorkloadSelector } from './common.ts';

export const mutualTls = message({ mode: oneOfWords(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']) });
export type MutualTLS = Spec<typeof mutualTls>;

export const peerAuthenticationSpec = message(
  {
    mtls: mutualTls,
    portLevelMtls: map(mutualTls, {
      ...rules(['port must be between 1-65535', 'self.all(key, 0 < int(key) && int(key) <= 65535)']),
      minProperties: 1,
    }),
    selector: policyWorkloadSelector,
  },
  [],
  rules([
    'portLevelMtls requires selector',
    'has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0) : true',
  ]),
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
