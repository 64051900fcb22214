/** The sections of Envoy's dump as messages, put together from bytes that are there: no resource is decoded but secrets, whose keys are left out. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { SecretsConfigDumpSchema } from '#gen/envoy/admin/v3/config_dump_pb.js';
import { ClustersConfigDumpSchema, ListenersConfigDumpSchema, RoutesConfigDumpSchema } from '#gen/envoy/admin/v3/config_dump_shared_pb.js';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { encode, packAny } from '../wire/encode.ts';
import { concat, field, routeConfigurationFields, stringField, vhdsField, virtualHostFields } from '../wire/join.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, listenerType, routeType, secretType, virtualHostType } from '../wire/types.ts';
import type { TypeUrl } from '../xds/source.ts';
import { resourcesSeen, type DumpSubject } from './dump.ts';

/** Clusters, listeners, routes and secrets, in istiod's order. The parts must be settled. `vhds`: see DumpRequest. */
export function dumpMessages(subject: DumpSubject, { vhds }: { readonly vhds: boolean }): Any[] {
  const all = (type: TypeUrl): EncodedResource[] => [...resourcesSeen(subject, type).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const hosts = Map.groupBy(all(virtualHostType), ({ name }) => name.slice(0, name.indexOf('/')));
  const clusters = all(clusterType).map(({ version, bytes }) => ({ versionInfo: version, cluster: any(clusterType, bytes) }));
  const listeners = all(listenerType).map(({ name, version, bytes }) => ({
    name,
    activeState: { versionInfo: version, listener: any(listenerType, bytes) },
  }));
  const routes = all(routeType).map((route) => ({
    versionInfo: route.version,
    routeConfig: any(routeType, routeTable(route, hosts.get(route.name) ?? [], vhds)),
  }));
  const secrets = all(secretType).map(({ name, version, bytes }) => ({
    name,
    versionInfo: version,
    secret: any(secretType, withoutKey(bytes)),
  }));
  return [
    packAny(ClustersConfigDumpSchema, create(ClustersConfigDumpSchema, { dynamicActiveClusters: clusters })),
    packAny(ListenersConfigDumpSchema, create(ListenersConfigDumpSchema, { dynamicListeners: listeners })),
    packAny(RoutesConfigDumpSchema, create(RoutesConfigDumpSchema, { dynamicRouteConfigs: routes })),
    packAny(SecretsConfigDumpSchema, create(SecretsConfigDumpSchema, { dynamicActiveSecrets: secrets })),
  ];
}

function any(typeUrl: TypeUrl, value: Uint8Array): Any {
  return create(AnySchema, { typeUrl, value });
}

/** As Envoy has it: the table's own virtual hosts before those of VHDS, which keep the names of their resources. */
function routeTable(table: EncodedResource, hosts: readonly EncodedResource[], vhds: boolean): Uint8Array {
  const fields = hosts.map(({ name, bytes }) => {
    const shown = vhds ? name : name.slice(table.name.length + 1);
    return field(routeConfigurationFields.virtualHosts, stringField(virtualHostFields.name, shown), bytes);
  });
  return concat(table.bytes, ...fields, ...(vhds && table.vhds === true ? [vhdsField] : []));
}

function withoutKey(bytes: Uint8Array): Uint8Array {
  const secret = fromBinary(SecretSchema, bytes);
  if (secret.type.case !== 'tlsCertificate' || secret.type.value.privateKey === undefined) return bytes;
  secret.type.value.privateKey.specifier = { case: 'inlineBytes', value: Buffer.from('[redacted]') };
  return encode(SecretSchema, secret);
}
