/** Messages to resources: checked against Envoy's own rules first, because one bad field makes Envoy refuse the whole response that carries it. */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { statsLoggerConfigs } from '../envoy/filters/stats-logger.ts';
import { encode } from '../wire/encode.ts';
import { hash } from '../wire/hash.ts';
import type { Pieces } from '../wire/join.ts';
import { type EncodedResource, splitAtCommon, SplitResource } from '../wire/resource.ts';
import type { Validator } from '../wire/validate.ts';

/** Collects what is wrong with what; problems of one place replace those of the last time. */
export interface ProblemSink {
  report(place: string, problems: readonly Problem[]): void;
}

export class Encoder {
  private readonly validator: Validator;
  /** Resources encoded since the start. */
  count = 0;

  constructor(validator: Validator) {
    this.validator = validator;
  }

  /**
   * The resource, or undefined and a problem for each broken rule, on the objects that it was made from. `vhds`: see EncodedResource.
   */
  encode<S extends DescMessage>(
    schema: S,
    name: string,
    message: MessageShape<S>,
    objects: readonly ObjectKey[],
    problems: Problem[],
    options: { readonly vhds?: boolean; readonly ignore?: readonly string[] } = {},
  ): EncodedResource | undefined {
    this.count++;
    const violations = this.validator.validate(schema, message).filter((v) => !(options.ignore ?? []).includes(v.path));
    if (violations.length > 0) {
      const text = violations.map((v) => `${v.path}: ${v.message}`).join('; ');
      for (const object of objects) {
        problems.push({
          object,
          path: '',
          reason: 'Refused',
          severity: 'error',
          message: `${schema.name} ${name} breaks Envoy's rules and is not sent: ${text}`,
        });
      }
      return undefined;
    }
    const bytes = encode(schema, message);
    const version = hash(bytes);
    const pieces = schema.typeName === ListenerSchema.typeName ? piecesOf(bytes) : undefined;
    if (pieces !== undefined) return new SplitResource(name, version, pieces);
    return { name, version, bytes, ...(options.vhds === true ? { vhds: true } : {}) };
  }
}

/** From this size on a response refers to pieces and does not copy them. */
const largeBytes = 16 * 1024;

/** Of the 50 KB of an inbound listener all but 3 KB are seven copies of the loggers that count Istio's metrics. */
function piecesOf(listener: Uint8Array): Pieces | undefined {
  return listener.byteLength < largeBytes ? undefined : splitAtCommon(listener, statsLoggerConfigs());
}
