/** A whole collection, page by page, as of one version. */
import { ApiUnreachable, statusMessage, type Transport } from './transport.ts';

/** An object as the API has it, before anything is believed of it but its metadata. */
export interface RawObject {
  readonly metadata: RawMetadata;
  readonly [field: string]: unknown;
}

export interface RawMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly resourceVersion: string;
  readonly [field: string]: unknown;
}

export interface ListRequest {
  /** `/api/v1/services`. */
  readonly path: string;
  readonly accept?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects of one answer. */
  readonly pageSize: number;
}

/** What an API server says with a status that is no success. */
export class ApiRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiRefusal';
    this.status = status;
  }
}

/**
 * Gives each object to `visit`, and returns the version of the list. Read with consensus, never from a stale cache, so that a later list is never older
 * than what a watch has shown. Rejects with an ApiRefusal, 410 where the pages are too old to be continued: then the list is to be begun anew.
 */
export async function listAll(
  transport: Transport,
  request: ListRequest,
  visit: (object: RawObject) => void,
  signal: AbortSignal,
): Promise<string> {
  let next = '';
  for (;;) {
    const query = queryOf({ ...request, limit: String(request.pageSize), continue: next });
    const answer = await transport.request(
      { method: 'GET', path: `${request.path}?${query}`, ...(request.accept === undefined ? {} : { accept: request.accept }) },
      signal,
    );
    if (answer.status !== 200) throw new ApiRefusal(answer.status, statusMessage(answer));
    const page = readPage(answer.body);
    if (page === undefined) throw new ApiUnreachable(`the list of ${request.path} is not one: its JSON cannot be read`);
    for (const item of page.items) visit(item);
    if (page.next === '') return page.resourceVersion;
    if (page.next === next) throw new ApiUnreachable(`the list of ${request.path} repeats its page`);
    next = page.next;
  }
}

export function queryOf(fields: {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly [parameter: string]: unknown;
}): URLSearchParams {
  const query = new URLSearchParams();
  const known = [
    'labelSelector',
    'fieldSelector',
    'limit',
    'continue',
    'watch',
    'resourceVersion',
    'allowWatchBookmarks',
    'timeoutSeconds',
  ];
  for (const name of known) {
    const value = fields[name];
    if (typeof value === 'string' && value !== '') query.set(name, value);
  }
  return query;
}

function readPage(body: unknown): { items: readonly RawObject[]; next: string; resourceVersion: string } | undefined {
  if (!isRecord(body) || !isRecord(body['metadata'])) return undefined;
  const { resourceVersion, continue: next } = body['metadata'];
  const items = body['items'] ?? [];
  if (typeof resourceVersion !== 'string' || !Array.isArray(items) || !items.every(isRawObject)) return undefined;
  return { items, next: typeof next === 'string' ? next : '', resourceVersion };
}

export function isRawObject(value: unknown): value is RawObject {
  if (!isRecord(value) || !isRecord(value['metadata'])) return false;
  const { name, namespace, resourceVersion } = value['metadata'];
  return typeof name === 'string' && typeof resourceVersion === 'string' && (namespace === undefined || typeof namespace === 'string');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
