import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { loadFileDescriptorSetFromBuffer, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '#gen/istio/v1/auth/ca_pb.js';
import { encode } from './encode.ts';
import { Joined } from './join.ts';

/**
 * The gRPC services that mizzen serves. Paths and stream kinds come from the descriptors; messages are decoded by the generated
 * schemas, which know every field of Envoy's current API and keep those that they do not.
 */
export interface Services {
  /** Our server takes requests as bytes and decodes them itself (discovery-request.ts); responses are bytes or pieces from join.ts and are passed on as they are. */
  readonly aggregatedDiscovery: {
    readonly StreamAggregatedResources: JoiningMethod<MessageShape<typeof DiscoveryRequestSchema>>;
    readonly DeltaAggregatedResources: JoiningMethod<MessageShape<typeof DeltaDiscoveryRequestSchema>>;
  };
  readonly certificates: {
    readonly CreateCertificate: Method<
      MessageShape<typeof IstioCertificateRequestSchema>,
      MessageShape<typeof IstioCertificateResponseSchema>
    >;
  };
}

/** What `Server.addService` and `makeGenericClientConstructor` of grpc-js read. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A method whose responses a server may give in pieces; a client gets bytes. */
export interface JoiningMethod<Request> extends Method<Request, Uint8Array> {
  readonly responseSerialize: (value: Uint8Array | Joined) => Buffer;
}

/** `descriptorSet`: the bytes of `generated/services.binpb`. Throws when a service is missing in it. */
export function loadServices(descriptorSet: Uint8Array): Services {
  const definitions = loadFileDescriptorSetFromBuffer(bufferOf(withoutFields(descriptorSet)));
  const service = (name: string): ServiceDefinition => {
    const definition = definitions[name];
    if (definition === undefined || 'format' in definition) throw new Error(`service ${name} is not in the descriptors`);
    return definition as ServiceDefinition;
  };
  const ads = service('envoy.service.discovery.v3.AggregatedDiscoveryService');
  const ca = service('istio.v1.auth.IstioCertificateService');
  return {
    aggregatedDiscovery: {
      StreamAggregatedResources: joiningMethod(ads, 'StreamAggregatedResources', messageCodec(DiscoveryRequestSchema)),
      DeltaAggregatedResources: joiningMethod(ads, 'DeltaAggregatedResources', messageCodec(DeltaDiscoveryRequestSchema)),
    },
    certificates: {
      CreateCertificate: method(
        ca,
        'CreateCertificate',
        messageCodec(IstioCertificateRequestSchema),
        messageCodec(IstioCertificateResponseSchema),
      ),
    },
  };
}

/**
 * proto-loader compiles every field of every message for its own codecs, 60 ms of start-up. Those are replaced by ours, so that it
 * only needs to know that the messages exist.
 */
function withoutFields(descriptorSet: Uint8Array): Uint8Array {
  const { file } = fromBinary(FileDescriptorSetSchema, descriptorSet);
  const names = file.map(({ name, package: pkg, syntax, dependency, messageType, service }) => ({
    name,
    package: pkg,
    syntax,
    dependency,
    messageType: messageType.map((message) => ({ name: message.name })),
    service,
  }));
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: names }));
}

interface Codec<T> {
  readonly serialize: (value: T) => Buffer;
  readonly deserialize: (bytes: Buffer) => T;
}

const bytesCodec: Codec<Uint8Array> = { serialize: bufferOf, deserialize: (bytes) => bytes };

function messageCodec<S extends DescMessage>(schema: S): Codec<MessageShape<S>> {
  return { serialize: (message) => bufferOf(encode(schema, message)), deserialize: (bytes) => fromBinary(schema, bytes) };
}

function joiningMethod<Request>(service: ServiceDefinition, name: string, request: Codec<Request>): JoiningMethod<Request> {
  return { ...method(service, name, request, bytesCodec), responseSerialize: serializeJoined };
}

/**
 * All that grpc-js does with what a serializer gives is to ask for `byteLength` and to have it copied behind the header of the frame (`copy`), which
 * pieces can as well as a Buffer. So a response is copied once.
 */
function serializeJoined(value: Uint8Array | Joined): Buffer {
  return value instanceof Joined ? (value as unknown as Buffer) : bufferOf(value);
}

function method<Request, Response>(
  service: ServiceDefinition,
  name: string,
  request: Codec<Request>,
  response: Codec<Response>,
): Method<Request, Response> {
  const definition: MethodDefinition<object, object> | undefined = service[name];
  if (definition === undefined) throw new Error(`method ${name} is not in the descriptors`);
  return {
    path: definition.path,
    requestStream: definition.requestStream,
    responseStream: definition.responseStream,
    requestSerialize: request.serialize,
    requestDeserialize: request.deserialize,
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  };
}

/** grpc-js takes a Buffer; this is a view of the same memory. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
