import { create } from '@bufbuild/protobuf';
import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOption,
  HeaderValueOptionSchema,
} from '#gen/envoy/config/core/v3/base_pb.js';
import type { Headers } from '../../apis/virtual-service.ts';

export interface HeaderMutations {
  readonly requestHeadersToAdd: HeaderValueOption[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOption[];
  readonly responseHeadersToRemove: string[];
}

/** Adds before sets, each in order of names. Host, `:authority` and other pseudo headers are no headers to Envoy: see `authorityOf`. */
export function headerMutations(headers: Headers | undefined): HeaderMutations {
  const { request, response } = headers ?? {};
  return {
    requestHeadersToAdd: [...additions(request?.add, 'add'), ...additions(request?.set, 'set')],
    requestHeadersToRemove: (request?.remove ?? []).filter(isOrdinary),
    responseHeadersToAdd: [...additions(response?.add, 'add'), ...additions(response?.set, 'set')],
    responseHeadersToRemove: (response?.remove ?? []).filter(isOrdinary),
  };
}

/** The host that the operations put in place of the request's. */
export function authorityOf(headers: Headers | undefined): string | undefined {
  const { set = {}, add = {} } = headers?.request ?? {};
  return [...Object.entries(set), ...Object.entries(add)].find(([name]) => isHost(name))?.[1];
}

function additions(headers: Readonly<Record<string, string>> | undefined, kind: 'add' | 'set'): HeaderValueOption[] {
  const { APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  return Object.entries(headers ?? {})
    .filter(([name]) => isOrdinary(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) =>
      create(HeaderValueOptionSchema, {
        header: { key, value },
        appendAction: kind === 'add' ? APPEND_IF_EXISTS_OR_ADD : OVERWRITE_IF_EXISTS_OR_ADD,
      }),
    );
}

const isHost = (name: string) => name.toLowerCase() === 'host' || name.toLowerCase() === ':authority';
const isOrdinary = (name: string) => !name.startsWith(':') && name.toLowerCase() !== 'host';
