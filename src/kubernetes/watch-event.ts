/** One line of a watch. */
import { isRawObject, isRecord, type RawObject } from './list.ts';

export type WatchEvent =
  | { readonly type: 'put'; readonly object: RawObject }
  | { readonly type: 'delete'; readonly object: RawObject }
  | { readonly type: 'bookmark'; readonly resourceVersion: string }
  /** The server ends the watch. 410: the version to go on from is gone. */
  | { readonly type: 'error'; readonly code: number; readonly message: string }
  | { readonly type: 'unreadable'; readonly why: string };

/** Never throws. */
export function readWatchEvent(text: string): WatchEvent {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { type: 'unreadable', why: error instanceof Error ? error.message.slice(0, 200) : 'no JSON' };
  }
  if (!isRecord(value) || !isRecord(value['object'])) return { type: 'unreadable', why: 'has no object' };
  const { type, object } = value;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return isRawObject(object) ? { type: 'put', object } : noMetadata;
    case 'DELETED':
      return isRawObject(object) ? { type: 'delete', object } : noMetadata;
    case 'BOOKMARK': {
      const version = isRecord(object['metadata']) ? object['metadata']['resourceVersion'] : undefined;
      return typeof version === 'string' ? { type: 'bookmark', resourceVersion: version } : noMetadata;
    }
    case 'ERROR': {
      const { code, message } = object;
      return {
        type: 'error',
        code: typeof code === 'number' ? code : 500,
        message: typeof message === 'string' ? message.slice(0, 500) : '',
      };
    }
    default:
      return { type: 'unreadable', why: `is of type ${JSON.stringify(type)?.slice(0, 40) ?? 'undefined'}` };
  }
}

const noMetadata: WatchEvent = { type: 'unreadable', why: 'has an object without name or resourceVersion' };
