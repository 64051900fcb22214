import { expect, test } from 'vitest';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { registry } from './testing/registry.ts';
import {
  bootstrapType,
  byPushOrder,
  clusterType,
  debugSyncType,
  endpointType,
  extensionConfigType,
  listenerType,
  messageName,
  nameTableType,
  routeType,
  runtimeType,
  secretType,
  shortName,
  typeOfShortName,
  typeUrlOf,
  virtualHostType,
} from './types.ts';

test('type URLs name messages that exist', () => {
  const envoys = [clusterType, endpointType, listenerType, routeType, virtualHostType, secretType, extensionConfigType, runtimeType];
  for (const typeUrl of [...envoys, bootstrapType, nameTableType]) {
    expect(registry.getMessage(messageName(typeUrl))?.typeName, typeUrl).toBe(typeUrl.replace('type.googleapis.com/', ''));
  }
  expect(typeUrlOf(ClusterLoadAssignmentSchema.typeName)).toBe('type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment');
});

test('short names go both ways, and a foreign type is shown by its message', () => {
  expect(shortName('type.googleapis.com/envoy.config.cluster.v3.Cluster')).toBe('CDS');
  expect(shortName('type.googleapis.com/envoy.config.route.v3.VirtualHost')).toBe('VHDS');
  expect(shortName(debugSyncType)).toBe('SYNCZ');
  expect(shortName('type.googleapis.com/agentgateway.dev.resource.Resource')).toBe('agentgateway.dev.resource.Resource');
  expect(shortName('toString')).toBe('toString');
  expect(typeOfShortName('eds')).toBe('type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment');
  expect(typeOfShortName('nothing')).toBeUndefined();
});

test('what names others leaves after them', () => {
  const types = [secretType, virtualHostType, 'x/unknown', routeType, listenerType, endpointType, clusterType];
  expect(types.sort(byPushOrder).map(shortName)).toEqual(['CDS', 'EDS', 'LDS', 'RDS', 'VHDS', 'SDS', 'unknown']);
});
