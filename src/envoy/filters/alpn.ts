import { create } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { FilterConfigSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { FilterStateValue_SharedWithUpstream } from '#gen/envoy/extensions/filters/common/set_filter_state/v3/value_pb.js';
import { ConfigSchema } from '#gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { ServicePort } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';

/** Ours, not Istio's `istio.alpn`: another filter, for the same end. */
export const alpnFilterName = 'mizzen.alpn';

/**
 * Tells the sidecar at the other end of mutual TLS that HTTP comes, where it would have to guess: on ports without a declared protocol it looks at
 * the ALPN of the client alone. Without it such requests take the other side's TCP chain, past its HTTP rules and metrics. Neither `h2` nor
 * `http/1.1` is offered, so that none is agreed and the other side finds the version in the first bytes: it is the one of the request, unknown here.
 * `istio` stays for sidecars that are configured for TCP. Off, but where a route switches it on: elsewhere the cluster's own ALPN is right.
 */
export function buildAlpnFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: alpnFilterName,
    disabled: true,
    configType: {
      case: 'typedConfig',
      value: packAny(
        ConfigSchema,
        create(ConfigSchema, {
          onRequestHeaders: [
            {
              key: { case: 'objectKey', value: 'envoy.network.application_protocols' },
              value: {
                case: 'formatString',
                value: {
                  format: {
                    case: 'textFormatSource',
                    value: { specifier: { case: 'inlineString', value: 'istio-http/1.1,istio-http/1.0,istio-h2,istio' } },
                  },
                },
              },
              sharedWithUpstream: FilterStateValue_SharedWithUpstream.ONCE,
            },
          ],
        }),
      ),
    },
  });
}

interface Destination {
  readonly servicePort?: ServicePort;
  readonly originatesTls: boolean;
}

/** A filter that is off by default is switched on by a configuration that is there and empty. */
const switchedOn: Any = packAny(FilterConfigSchema, create(FilterConfigSchema, { config: create(AnySchema) }));

/** Undefined where ALPN is best left alone: declared protocols, and TLS with servers outside of the mesh. */
export function alpnPerRoute(destinations: readonly Destination[]): Record<string, Any> | undefined {
  const guesses = destinations.some(({ servicePort }) => servicePort?.protocol === 'auto');
  if (!guesses || destinations.some(({ originatesTls }) => originatesTls)) return undefined;
  return { [alpnFilterName]: switchedOn };
}
