import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FileAccessLogSchema } from '#gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { StdoutAccessLogSchema } from '#gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { type AccessLogSettings, accessLogs, listenerAccessLogs } from './access-log.ts';

const settings = (over: Partial<AccessLogSettings>): AccessLogSettings => ({
  accessLogFile: '/dev/stdout',
  accessLogEncoding: 'TEXT',
  accessLogFormat: '',
  ...over,
});

function format(over: Partial<AccessLogSettings>) {
  const [log] = accessLogs(settings(over));
  const config = log?.configType;
  if (config?.case !== 'typedConfig') throw new Error('no log');
  const { accessLogFormat } = fromBinary(StdoutAccessLogSchema, config.value.value);
  if (accessLogFormat.case !== 'logFormat') throw new Error('no format');
  const { format: line, formatters } = accessLogFormat.value;
  const text = line.case === 'textFormatSource' ? line.value.specifier.value : line.value;
  return { text, formatters: formatters.map(({ name }) => name) };
}

describe('accessLogs', () => {
  it('is off without a file', () => {
    expect(accessLogs(settings({ accessLogFile: '' }))).toEqual([]);
    expect(listenerAccessLogs(settings({ accessLogFile: '' }))).toEqual([]);
  });

  it("writes Istio's line by default", () => {
    expect(format({}).text).toBe(
      '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
    );
  });

  it('ends a line of the user, and brings the commands that are extensions', () => {
    expect(format({ accessLogFormat: '%REQ_WITHOUT_QUERY(:PATH)% %METADATA(ROUTE:istio)%' })).toEqual({
      text: '%REQ_WITHOUT_QUERY(:PATH)% %METADATA(ROUTE:istio)%\n',
      formatters: ['envoy.formatter.req_without_query', 'envoy.formatter.metadata'],
    });
    expect(format({ accessLogFormat: 'x\n' }).text).toBe('x\n');
  });

  it("writes the user's JSON object, and Istio's for anything else", () => {
    expect(format({ accessLogEncoding: 'JSON', accessLogFormat: '{"code": "%RESPONSE_CODE%"}' }).text).toEqual({ code: '%RESPONSE_CODE%' });
    for (const accessLogFormat of ['', 'no', '[1]', 'null']) {
      expect(format({ accessLogEncoding: 'JSON', accessLogFormat }).text).toMatchObject({ route_name: '%ROUTE_NAME%' });
    }
  });

  it('opens files by their path', () => {
    const [log] = accessLogs(settings({ accessLogFile: '/var/log/access.log' }));
    expect(log?.name).toBe('envoy.access_loggers.file');
    const value = log?.configType.value as { readonly value: Uint8Array };
    expect(fromBinary(FileAccessLogSchema, value.value).path).toBe('/var/log/access.log');
  });

  it('tells of connections that no filter chain takes', () => {
    expect(listenerAccessLogs(settings({}))[0]?.filter?.filterSpecifier).toMatchObject({
      case: 'responseFlagFilter',
      value: { flags: ['NR'] },
    });
  });
});
