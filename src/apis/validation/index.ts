/** What Istio's validating webhook refuses or warns of, beyond structure; by kind. */
import type { AuthorizationPolicy } from '../authorization-policy.ts';
import type { DestinationRule } from '../destination-rule.ts';
import type { Gateway } from '../gateway.ts';
import type { ConfigObject } from '../object.ts';
import type { PeerAuthentication } from '../peer-authentication.ts';
import type { RequestAuthentication } from '../request-authentication.ts';
import type { Secret } from '../secret.ts';
import type { ServiceEntry } from '../service-entry.ts';
import type { Sidecar } from '../sidecar.ts';
import type { Report } from '../structure.ts';
import type { VirtualService } from '../virtual-service.ts';
import type { WorkloadEntry } from '../workload-entry.ts';
import { validateAuthorizationPolicy } from './authorization-policy.ts';
import { validateDestinationRule } from './destination-rule.ts';
import { validateGateway } from './gateway.ts';
import { validatePeerAuthentication } from './peer-authentication.ts';
import { validateRequestAuthentication } from './request-authentication.ts';
import { validateSecret } from './secret.ts';
import { validateServiceEntry } from './service-entry.ts';
import { validateSidecar } from './sidecar.ts';
import { validateVirtualService } from './virtual-service.ts';
import { validateWorkloadEntry } from './workload-entry.ts';

/** Called only with objects whose structure is that of the kind. */
const validators: Readonly<Record<string, (object: ConfigObject, report: Report) => void>> = {
  VirtualService: (object, report) => validateVirtualService(object as VirtualService, report),
  DestinationRule: (object, report) => validateDestinationRule(object as DestinationRule, report),
  Gateway: (object, report) => validateGateway(object as Gateway, report),
  ServiceEntry: (object, report) => validateServiceEntry(object as ServiceEntry, report),
  WorkloadEntry: (object, report) => validateWorkloadEntry(object as WorkloadEntry, report),
  Sidecar: (object, report) => validateSidecar(object as Sidecar, report),
  PeerAuthentication: (object, report) => validatePeerAuthentication(object as PeerAuthentication, report),
  AuthorizationPolicy: (object, report) => validateAuthorizationPolicy(object as AuthorizationPolicy, report),
  RequestAuthentication: (object, report) => validateRequestAuthentication(object as RequestAuthentication, report),
  Secret: (object, report) => validateSecret(object as Secret, report),
};

export function validateObject(object: ConfigObject, report: Report): void {
  if (Object.hasOwn(validators, object.kind)) validators[object.kind]?.(object, report);
}
