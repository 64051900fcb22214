import { create } from '@bufbuild/protobuf';
import { type RetryPolicy, RetryPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '#gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '#gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import type { HttpRouteSpec } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';
import { durationOf } from '../duration.ts';

export type RetrySettings = NonNullable<HttpRouteSpec['retries']>;

/** Istio's default: twice, and only what the server has surely not begun to serve. */
const defaultRetryOn = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
const defaultAttempts = 2;
/** Tries to find a host that was not tried before; after them any host is taken. */
const hostAttempts = 5n;

/**
 * `undefined` gives the default; attempts 0 gives none. With consistent hashing a retry stays with the host that the hash names, unless the
 * settings say otherwise.
 */
export function buildRetryPolicy(settings: RetrySettings | undefined, consistentHash: boolean): RetryPolicy | undefined {
  if (settings !== undefined && (settings.attempts ?? 0) <= 0) return undefined;
  const perTryTimeout = durationOf(settings?.perTryTimeout);
  const baseInterval = durationOf(settings?.backoff);
  return create(RetryPolicySchema, {
    numRetries: settings?.attempts ?? defaultAttempts,
    ...parseRetryOn(settings?.retryOn || defaultRetryOn),
    hostSelectionRetryMaxAttempts: hostAttempts,
    retryHostPredicate: (settings?.retryIgnorePreviousHosts ?? !consistentHash) ? [previousHosts] : [],
    ...(perTryTimeout && { perTryTimeout }),
    ...(baseInterval && { retryBackOff: { baseInterval } }),
    ...(settings?.retryRemoteLocalities === true && { retryPriority: previousPriorities }),
  });
}

/** `5xx,503`: words for Envoy, and status codes, which the API allows among them. */
function parseRetryOn(text: string): { retryOn: string; retriableStatusCodes: number[] } {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const codes = parts.filter((part) => /^[1-5]\d\d$/.test(part));
  const words = parts.filter((part) => !codes.includes(part));
  if (codes.length > 0 && !words.includes('retriable-status-codes')) words.push('retriable-status-codes');
  return { retryOn: words.join(','), retriableStatusCodes: codes.map(Number) };
}

const previousHosts = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  configType: { case: 'typedConfig' as const, value: packAny(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema)) },
};

const previousPriorities = {
  name: 'envoy.retry_priorities.previous_priorities',
  configType: {
    case: 'typedConfig' as const,
    value: packAny(PreviousPrioritiesConfigSchema, create(PreviousPrioritiesConfigSchema, { updateFrequency: 2 })),
  },
};
