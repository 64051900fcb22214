import { createRegistry, type JsonValue } from '@bufbuild/protobuf';
import { type Bootstrap, BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { CredentialInjectorSchema } from '#gen/envoy/extensions/filters/http/credential_injector/v3/credential_injector_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { UpstreamCodecSchema } from '#gen/envoy/extensions/filters/http/upstream_codec/v3/upstream_codec_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { GenericSchema } from '#gen/envoy/extensions/http/injected_credentials/generic/v3/generic_pb.js';
import { type Secret, SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { WasmServiceSchema } from '#gen/envoy/extensions/wasm/v3/wasm_pb.js';
import { toJson } from '../../wire/json.ts';
import { secretType } from '../../wire/types.ts';

/** What a bootstrap holds inside `Any`. */
const registry = createRegistry(
  BootstrapSchema,
  CredentialInjectorSchema,
  GenericSchema,
  HttpConnectionManagerSchema,
  HttpProtocolOptionsSchema,
  RouterSchema,
  SecretSchema,
  UpstreamCodecSchema,
  UpstreamTlsContextSchema,
  WasmServiceSchema,
);

/** With the field names of the `.proto` files, as Envoy's documentation writes them. */
export function bootstrapToJson(bootstrap: Bootstrap): JsonValue {
  return toJson(BootstrapSchema, bootstrap, registry);
}

/** A file SDS resource: a DiscoveryResponse with one secret. */
export function secretFileToJson(secret: Secret): JsonValue {
  const json = toJson(SecretSchema, secret, registry);
  return { resources: [{ '@type': secretType, ...(json as Record<string, JsonValue>) }] };
}
