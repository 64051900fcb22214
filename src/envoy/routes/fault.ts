import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type FaultAbortSchema, HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FractionalPercent_DenominatorType } from '#gen/envoy/type/v3/percent_pb.js';
import type { HTTPFaultInjection, Percent } from '../../apis/virtual-service.ts';
import { packAny } from '../../wire/encode.ts';
import { durationOf } from '../duration.ts';

/** Undefined where neither a delay nor an abort can be made of it. */
export function buildFault({ delay, abort }: HTTPFaultInjection): Any | undefined {
  const fixedDelay = durationOf(delay?.fixedDelay);
  const errorType = abort === undefined ? undefined : abortError(abort);
  if (fixedDelay === undefined && errorType === undefined) return undefined;
  return packAny(
    HTTPFaultSchema,
    create(HTTPFaultSchema, {
      ...(fixedDelay && {
        delay: {
          faultDelaySecifier: { case: 'fixedDelay', value: fixedDelay },
          percentage: delay?.percentage === undefined ? hundredths(delay?.percent ?? 0) : millionths(delay.percentage),
        },
      }),
      // Without a percentage Envoy aborts nothing, and so does Istio.
      ...(errorType && { abort: { errorType, ...(abort?.percentage && { percentage: millionths(abort.percentage) }) } }),
    }),
  );
}

type Abort = NonNullable<HTTPFaultInjection['abort']>;
type ErrorType = NonNullable<MessageInitShape<typeof FaultAbortSchema>['errorType']>;

function abortError({ httpStatus, grpcStatus }: Abort): ErrorType | undefined {
  if (httpStatus !== undefined) return { case: 'httpStatus', value: httpStatus };
  const code = grpcStatus === undefined ? -1 : grpcCodes.indexOf(grpcStatus.toUpperCase());
  return code < 0 ? undefined : { case: 'grpcStatus', value: code };
}

/** By number. */
const grpcCodes: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

const hundredths = (percent: number) => ({ numerator: percent, denominator: FractionalPercent_DenominatorType.HUNDRED });
const millionths = ({ value = 0 }: Percent) => ({
  numerator: Math.trunc(value * 10_000),
  denominator: FractionalPercent_DenominatorType.MILLION,
});
