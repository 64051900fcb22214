import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { CorsPolicySchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { FractionalPercent_DenominatorType } from '#gen/envoy/type/v3/percent_pb.js';
import type { CorsPolicy } from '../../apis/virtual-service.ts';
import { packAny } from '../../wire/encode.ts';
import { durationOf } from '../duration.ts';
import { buildStringMatch } from './string-match.ts';

/** `allowOrigin` is the old form of `allowOrigins`. Preflights of other origins go on to the service, unless they are to be ignored. */
export function buildCors(policy: CorsPolicy): Any {
  const origins = policy.allowOrigins ?? (policy.allowOrigin ?? []).map((exact) => ({ exact }));
  const maxAge = durationOf(policy.maxAge);
  return packAny(
    CorsPolicySchema,
    create(CorsPolicySchema, {
      allowOriginStringMatch: origins.flatMap((origin) => buildStringMatch(origin) ?? []),
      allowMethods: (policy.allowMethods ?? []).join(','),
      allowHeaders: (policy.allowHeaders ?? []).join(','),
      exposeHeaders: (policy.exposeHeaders ?? []).join(','),
      maxAge: maxAge === undefined ? '' : String(maxAge.seconds),
      filterEnabled: { defaultValue: { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED } },
      forwardNotMatchingPreflights: policy.unmatchedPreflights !== 'IGNORE',
      ...(policy.allowCredentials !== undefined && { allowCredentials: policy.allowCredentials }),
    }),
  );
}
