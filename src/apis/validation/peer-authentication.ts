import type { PeerAuthentication } from '../peer-authentication.ts';
import type { Report } from '../structure.ts';
import { checkTargets } from './selector.ts';

export function validatePeerAuthentication({ spec }: PeerAuthentication, report: Report): void {
  checkTargets(spec, report);
}
