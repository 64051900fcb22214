/** Writes conditions into the status of objects, and Events about them. Conditions of others stay as they are. */
import { conditionsFingerprint, isOwn, type Condition } from '../../apis/condition.ts';
import type { ObjectKey } from '../../apis/object.ts';
import { apiVersionOf } from '../../apis/kind.ts';
import { findResource } from '../../apis/resource.ts';
import { fingerprint } from '../../lib/fingerprint.ts';
import type { KubernetesApi, ObjectRef } from '../../kubernetes/api.ts';
import { ApiRefusal, isRecord, type RawObject } from '../../kubernetes/list.ts';

export interface StatusWriterOptions {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'mergePatch'>;
  /** Milliseconds since 1970, for the times that people read. */
  readonly wallClock: () => number;
  /** Of this replica, for `reportingInstance`. */
  readonly instance: string;
}

export interface EventText {
  readonly type: 'Warning' | 'Normal';
  readonly reason: string;
  readonly note: string;
}

/** The API refuses longer ones, counted in bytes. */
const maxNoteBytes = 1024;

export class StatusWriter {
  readonly #options: StatusWriterOptions;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Undefined where there is none any more, or its kind is not served. */
  async read(object: ObjectKey, apiVersion: string | undefined, signal: AbortSignal): Promise<RawObject | undefined> {
    const ref = refOf(object, apiVersion);
    return ref === undefined ? undefined : this.#options.api.get(ref, signal);
  }

  /**
   * `conflict`: somebody else was first, to be tried again. Nothing is written where the status says it already. `present`: the object as it was read just now.
   */
  async writeConditions(
    object: ObjectKey,
    present: RawObject,
    conditions: readonly Condition[],
    signal: AbortSignal,
  ): Promise<'written' | 'same' | 'conflict' | 'gone'> {
    const ref = refOf(object, typeof present['apiVersion'] === 'string' ? present['apiVersion'] : undefined);
    if (ref === undefined) return 'gone';
    const status = isRecord(present['status']) ? present['status'] : {};
    const before: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
    if (conditionsFingerprint(before) === conditionsFingerprint(conditions)) return 'same';
    const now = new Date(this.#options.wallClock()).toISOString().replace(/\.\d+Z$/, 'Z');
    const own = conditions.map((condition) => {
      const known = before.find((c) => isRecord(c) && c['type'] === condition.type);
      const since = isRecord(known) && known['status'] === condition.status ? known['lastTransitionTime'] : undefined;
      return { ...condition, lastTransitionTime: typeof since === 'string' ? since : now };
    });
    const others = before.filter((c) => !isRecord(c) || !isOwn(c['type']));
    const body = { metadata: { resourceVersion: present.metadata.resourceVersion }, status: { conditions: [...others, ...own] } };
    try {
      await this.#options.api.mergePatch({ ...ref, subresource: 'status' }, body, signal);
      return 'written';
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 409) return 'conflict';
      if (error instanceof ApiRefusal && error.status === 404) return 'gone';
      throw error;
    }
  }

  /**
   * Its name says what it says, so that one problem is one Event whoever writes it: `again` counts it once more, else one that is there already stays as it is,
   * as after a change of the leader.
   */
  async writeEvent(object: ObjectKey, present: RawObject, text: EventText, again: boolean, signal: AbortSignal): Promise<void> {
    const { api, wallClock, instance } = this.#options;
    const { name, namespace = 'default', uid } = present.metadata;
    const note = shortened(text.note);
    // A part of a name may end as no name may.
    const event = `${name.slice(0, 200).replace(/[-.]+$/, '')}.${fingerprint(`${String(uid)} ${text.type} ${text.reason} ${note}`)}`;
    const at = new Date(wallClock()).toISOString().replace('Z', '000Z');
    const collection = { apiVersion: 'events.k8s.io/v1', plural: 'events', namespace };
    try {
      await api.create(
        collection,
        {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: { name: event, namespace },
          eventTime: at,
          type: text.type,
          reason: text.reason,
          note,
          action: 'Translate',
          reportingController: 'mizzen',
          reportingInstance: instance.slice(0, 128),
          regarding: {
            apiVersion: present['apiVersion'],
            kind: object.slice(0, object.indexOf('/')),
            name,
            ...(present.metadata.namespace !== undefined && { namespace }),
            uid,
            resourceVersion: present.metadata.resourceVersion,
          },
        },
        signal,
      );
    } catch (error) {
      if (!(error instanceof ApiRefusal) || error.status !== 409) throw error;
      if (!again) return;
      const known = await api.get({ ...collection, name: event }, signal);
      const series = isRecord(known?.['series']) ? known['series'] : {};
      const count = typeof series['count'] === 'number' ? series['count'] + 1 : 2;
      await api.mergePatch({ ...collection, name: event }, { series: { count, lastObservedTime: at } }, signal);
    }
  }
}

function shortened(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxNoteBytes) return text;
  // Whole characters only.
  return bytes
    .subarray(0, maxNoteBytes - 2)
    .toString()
    .replace(/\ufffd+$/, '');
}

function refOf(object: ObjectKey, apiVersion: string | undefined): ObjectRef | undefined {
  const [kind = '', namespace = '', name = ''] = object.split('/');
  const resource = findResource(kind);
  if (resource === undefined || name === '' || name.includes('@')) return undefined;
  return { apiVersion: apiVersion ?? apiVersionOf(resource), plural: resource.plural, name, ...(namespace !== '' && { namespace }) };
}
