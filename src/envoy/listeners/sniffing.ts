import { create } from '@bufbuild/protobuf';
import { type ListenerFilter, ListenerFilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { HttpInspectorSchema } from '#gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { packAny } from '../../wire/encode.ts';

/** Finds TLS and its server name; waits for the client to speak. */
export function tlsInspector(): ListenerFilter {
  // A first read of 512 bytes holds most ClientHellos; the default of 64 KB is allocated for every connection.
  return listenerFilter('tls', packAny(TlsInspectorSchema, create(TlsInspectorSchema, { initialReadBufferSize: 512 })));
}

/** Finds HTTP/1 and HTTP/2 in plaintext; waits for the client to speak. */
export function httpInspector(): ListenerFilter {
  return listenerFilter('http', packAny(HttpInspectorSchema, create(HttpInspectorSchema)));
}

function listenerFilter(kind: 'tls' | 'http', typedConfig: ReturnType<typeof packAny>): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: `envoy.filters.listener.${kind}_inspector`,
    configType: { case: 'typedConfig', value: typedConfig },
  });
}
