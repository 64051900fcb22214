import { create } from '@bufbuild/protobuf';
import { type OutlierDetection, OutlierDetectionSchema } from '#gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import type { OutlierDetection as OutlierDetectionSettings } from '../../apis/traffic-policy.ts';
import { durationOf } from '../duration.ts';
import { positive } from './connection-pool.ts';

/** Ejection by consecutive errors; by success rate never, because the API has no word for it. Zero errors switch a detector off. */
export function buildOutlierDetection(settings: OutlierDetectionSettings): OutlierDetection {
  const { consecutive5xxErrors, consecutiveGatewayErrors } = settings;
  const interval = durationOf(settings.interval);
  const baseEjectionTime = durationOf(settings.baseEjectionTime);
  const maxEjectionPercent = positive(settings.maxEjectionPercent);
  return create(OutlierDetectionSchema, {
    enforcingSuccessRate: 0,
    ...(consecutive5xxErrors !== undefined && {
      consecutive5xx: consecutive5xxErrors,
      enforcingConsecutive5xx: enforcing(consecutive5xxErrors),
    }),
    ...(consecutiveGatewayErrors !== undefined && {
      consecutiveGatewayFailure: consecutiveGatewayErrors,
      enforcingConsecutiveGatewayFailure: enforcing(consecutiveGatewayErrors),
    }),
    ...(interval && { interval }),
    ...(baseEjectionTime && { baseEjectionTime }),
    ...(maxEjectionPercent !== undefined && { maxEjectionPercent }),
    ...(settings.splitExternalLocalOriginErrors === true && localOrigin(settings)),
  });
}

/** Errors of the connection itself counted apart from those of the answer. */
function localOrigin(settings: OutlierDetectionSettings) {
  const failures = positive(settings.consecutiveLocalOriginFailures);
  return {
    splitExternalLocalOriginErrors: true,
    enforcingLocalOriginSuccessRate: 0,
    ...(failures !== undefined && { consecutiveLocalOriginFailure: failures, enforcingConsecutiveLocalOriginFailure: 100 }),
  };
}

const enforcing = (errors: number) => (errors > 0 ? 100 : 0);
