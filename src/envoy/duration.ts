import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { durationParts, parseDuration } from '../lib/duration.ts';

/** `1h30m`, `0.5s`, `15ms` as a protobuf duration; undefined for a missing, malformed or negative one: Envoy takes none of these. */
export function durationOf(text: string | undefined): Duration | undefined {
  const nanoseconds = text === undefined ? undefined : parseDuration(text);
  return nanoseconds === undefined || nanoseconds < 0n ? undefined : create(DurationSchema, durationParts(nanoseconds));
}

/** Zero: for most of Envoy's timeouts it means "none". */
export function noDuration(): Duration {
  return seconds(0);
}

export function seconds(count: number): Duration {
  return create(DurationSchema, { seconds: BigInt(count), nanos: 0 });
}

export function isZero(duration: Duration): boolean {
  return duration.seconds === 0n && duration.nanos === 0;
}
