/** Access logs by MeshConfig: accessLogFile, accessLogEncoding and accessLogFormat. An empty file means none. */
import { create, type JsonObject } from '@bufbuild/protobuf';
import { type AccessLog, AccessLogSchema } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { type TypedExtensionConfig, TypedExtensionConfigSchema } from '#gen/envoy/config/core/v3/extension_pb.js';
import { type SubstitutionFormatString, SubstitutionFormatStringSchema } from '#gen/envoy/config/core/v3/substitution_format_string_pb.js';
import { FileAccessLogSchema } from '#gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { StderrAccessLogSchema, StdoutAccessLogSchema } from '#gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { MetadataSchema } from '#gen/envoy/extensions/formatter/metadata/v3/metadata_pb.js';
import { ReqWithoutQuerySchema } from '#gen/envoy/extensions/formatter/req_without_query/v3/req_without_query_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import { packAny } from '../../wire/encode.ts';

export type AccessLogSettings = Pick<MeshConfig, 'accessLogFile' | 'accessLogEncoding' | 'accessLogFormat'>;

/** Istio's line, which parsers of its logs expect. */
const textFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

/** Istio's keys. */
const jsonFormat: JsonObject = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
};

/** One log for a connection manager or tcp_proxy, or none. */
export function accessLogs(settings: AccessLogSettings): AccessLog[] {
  return fileLog(settings, {});
}

/** For the listener itself: connections that no filter chain matches, which nothing else would tell of. */
export function listenerAccessLogs(settings: AccessLogSettings): AccessLog[] {
  return fileLog(settings, { filter: { filterSpecifier: { case: 'responseFlagFilter' as const, value: { flags: ['NR'] } } } });
}

function fileLog(settings: AccessLogSettings, filter: object): AccessLog[] {
  if (settings.accessLogFile === '') return [];
  const format = settings.accessLogEncoding === 'JSON' ? json(settings.accessLogFormat) : text(settings.accessLogFormat);
  const line = create(SubstitutionFormatStringSchema, { format, formatters: formatters(settings.accessLogFormat) });
  return [create(AccessLogSchema, { ...logger(settings.accessLogFile, line), ...filter })];
}

/** By path Envoy would open its standard output again, which fails where that is a pipe or socket of whoever started it. */
function logger(path: string, line: SubstitutionFormatString) {
  const accessLogFormat = { case: 'logFormat' as const, value: line };
  if (path === '/dev/stdout') {
    const value = packAny(StdoutAccessLogSchema, create(StdoutAccessLogSchema, { accessLogFormat }));
    return { name: 'envoy.access_loggers.stdout', configType: { case: 'typedConfig' as const, value } };
  }
  if (path === '/dev/stderr') {
    const value = packAny(StderrAccessLogSchema, create(StderrAccessLogSchema, { accessLogFormat }));
    return { name: 'envoy.access_loggers.stderr', configType: { case: 'typedConfig' as const, value } };
  }
  const value = packAny(FileAccessLogSchema, create(FileAccessLogSchema, { path, accessLogFormat }));
  return { name: 'envoy.access_loggers.file', configType: { case: 'typedConfig' as const, value } };
}

function text(format: string) {
  const line = format === '' ? textFormat : format.endsWith('\n') ? format : `${format}\n`;
  return { case: 'textFormatSource' as const, value: { specifier: { case: 'inlineString' as const, value: line } } };
}

/** A format that is no JSON object is ignored in favour of Istio's, as Istio does. */
function json(format: string) {
  return { case: 'jsonFormat' as const, value: format === '' ? jsonFormat : (parseObject(format) ?? jsonFormat) };
}

/** Undefined for anything that is not a JSON object. */
export function parseObject(textOfObject: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(textOfObject);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    // Not JSON: the caller falls back, and validation of MeshConfig reports it.
    return undefined;
  }
}

/** Commands that are extensions of their own. */
function formatters(format: string): TypedExtensionConfig[] {
  const used: TypedExtensionConfig[] = [];
  if (format.includes('%REQ_WITHOUT_QUERY')) {
    const typedConfig = packAny(ReqWithoutQuerySchema, create(ReqWithoutQuerySchema));
    used.push(create(TypedExtensionConfigSchema, { name: 'envoy.formatter.req_without_query', typedConfig }));
  }
  if (format.includes('%METADATA(')) {
    const typedConfig = packAny(MetadataSchema, create(MetadataSchema));
    used.push(create(TypedExtensionConfigSchema, { name: 'envoy.formatter.metadata', typedConfig }));
  }
  return used;
}
