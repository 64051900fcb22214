/**
 * The fields that have an effect, by kind. A kind that is not listed is read whole. A field that is accepted but not listed is reported on its
 * object: nothing is dropped in silence.
 */
import type { KindName } from '../kinds.ts';
import { translatedAuthorizationPolicy } from './authorization-policy.ts';
import { translatedDestinationRule } from './destination-rule.ts';
import { translatedGateway } from './gateway.ts';
import { translatedPeerAuthentication } from './peer-authentication.ts';
import { translatedRequestAuthentication } from './request-authentication.ts';
import { translatedServiceEntry } from './service-entry.ts';
import { translatedSidecar } from './sidecar.ts';
import { translatedVirtualService } from './virtual-service.ts';
import { translatedWorkloadEntry } from './workload-entry.ts';

export const translatedPaths: Readonly<Partial<Record<KindName, readonly string[]>>> = {
  VirtualService: translatedVirtualService,
  DestinationRule: translatedDestinationRule,
  Gateway: translatedGateway,
  ServiceEntry: translatedServiceEntry,
  WorkloadEntry: translatedWorkloadEntry,
  Sidecar: translatedSidecar,
  PeerAuthentication: translatedPeerAuthentication,
  AuthorizationPolicy: translatedAuthorizationPolicy,
  RequestAuthentication: translatedRequestAuthentication,
};
