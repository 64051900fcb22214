import { totalLength } from '../wire/join.ts';
import { clusterType, endpointType } from '../wire/types.ts';
import type { DeltaType, OwnFrame, ResponseContent } from './delta-type.ts';
import { deltaFrame, type Encoder, type Step } from './encoder.ts';
import type { Change, PartsView, Pointers } from './view.ts';
import type { EncodedResource } from '../wire/resource.ts';

/** Decided content of a response before it is sent; deciding changes nothing, so that it can be repeated after a wait. */
export interface Draft extends ResponseContent {
  /** Clusters to be removed when nothing names them any more. */
  readonly later: readonly string[];
  readonly pointers: Pointers;
}

/** What there is to answer from. */
export interface Standpoint {
  readonly view: PartsView;
  readonly encoder: Encoder;
  /** What the stream knows of clusters, if its client has asked for them. */
  readonly clusters: DeltaType | undefined;
  /** The client asks for hosts and clusters when it needs them. */
  readonly onDemand: boolean;
}

/** Of a type of which the client has had no answer on this stream. */
export function firstAnswer(state: DeltaType, at: Standpoint): Draft {
  const { type, selection, claims } = state;
  const pointers = at.view.pointers(type);
  if (!selection.follows) return decide(state, at, [], [], pointers);
  const tables = claims === undefined && state.repair === undefined && selection.coversAll ? at.view.disjointTables(type) : undefined;
  if (tables !== undefined) {
    const steps = tables.map((table) => at.encoder.whole('delta', type, table));
    return { steps, own: [], removed: [...state.owed].filter((name) => at.view.find(type, name) === undefined), later: [], pointers };
  }
  const names = new Set<string>();
  let claimed = 0;
  for (const resource of at.view.resources(type)) {
    const version = claims?.get(resource.name);
    if (version !== undefined) claimed++;
    if (version !== resource.version) names.add(resource.name);
  }
  // The usual claims are of what is there.
  if (claims !== undefined && claimed < claims.size)
    for (const name of claims.keys()) if (at.view.find(type, name) === undefined) names.add(name);
  return decide(state, at, [], names, pointers);
}

/** What has changed since the last answer; undefined: nothing. */
export function laterAnswer(state: DeltaType, at: Standpoint, withChanges: boolean): Draft | 'too far behind' | undefined {
  const known = state.pointers ?? [];
  const changes = withChanges ? at.view.changes(state.type, known) : [];
  if (changes === undefined) return 'too far behind';
  if (changes.length === 0 && state.owed.size === 0 && state.touched.size === 0 && !state.answerDue) return undefined;
  const steps: Step[] = [];
  const names = new Set<string>();
  for (const change of changes) {
    const step = sharedStep(state, at, change, changes);
    if (step !== undefined) {
      steps.push(step);
      for (const name of step.gone) names.add(name);
    } else for (const name of change.names) if (at.view.affected(state.type, name, changes)) names.add(name);
  }
  return decide(state, at, steps, names, withChanges ? at.view.pointers(state.type) : known);
}

/** The change as every stream with this part gets it, if this one gets it so too. */
function sharedStep(state: DeltaType, at: Standpoint, change: Change, changes: readonly Change[]): Step | undefined {
  if (state.repair !== undefined || state.marks.size > 0) return undefined;
  const { selection, owed, touched } = state;
  if (!selection.coversAll) for (const name of change.names) if (!selection.has(name)) return undefined;
  for (const name of owed) if (change.names.has(name)) return undefined;
  for (const name of touched) if (change.names.has(name)) return undefined;
  if (!at.view.standsAlone(state.type, change, changes)) return undefined;
  return at.encoder.step(state.type, change.table, change.names);
}

/** Adds to the shared steps what this stream alone gets: `names`, and what is owed and touched. */
function decide(state: DeltaType, at: Standpoint, steps: readonly Step[], names: Iterable<string>, pointers: Pointers): Draft {
  const { type, selection, repair } = state;
  const own: OwnFrame[] = [];
  const removed: string[] = [];
  const later: string[] = [];
  const all = new Set(names);
  for (const name of state.touched) all.add(name);
  for (const name of state.owed) all.add(name);
  for (const name of all) {
    const resource = at.view.find(type, name);
    if (repair?.excludes(name) === true && repair.changed(name, resource?.version) === 'wait') continue;
    if (!selection.has(name) && resource !== undefined) continue;
    if (resource !== undefined) own.push(ownFrame(state, at.encoder, resource));
    else if (type === clusterType && !isUnknown(state, at, name)) later.push(name);
    else if (type === endpointType) decideEndpointsGone(state, at, name, own, removed);
    else removed.push(name);
  }
  return { steps: steps.filter((step) => step.resources.length > 0), own, removed, later, pointers };
}

/** Asked for on demand, with a request that fails as soon as it is known that there is no such cluster. */
function isUnknown(state: DeltaType, at: Standpoint, name: string): boolean {
  return at.onDemand && state.owed.has(name);
}

/** A resource as this client alone gets it. */
export function ownFrame(state: DeltaType, encoder: Encoder, resource: EncodedResource): OwnFrame {
  const mark = state.marks.get(resource.name);
  if (mark === undefined) return { resource, frames: encoder.frame(state.type, resource) };
  return { resource, frames: deltaFrame(state.type, resource, `${resource.version}~${mark}`) };
}

/** A cluster waits for its endpoints without end, and ignores their removal: it gets an empty list. */
function decideEndpointsGone(state: DeltaType, at: Standpoint, name: string, own: OwnFrame[], removed: string[]): void {
  const clusters = at.clusters;
  const asked = state.owed.has(name);
  if (asked || (clusters !== undefined && at.view.find(clusterType, name) !== undefined && state.selection.has(name))) {
    own.push(ownFrame(state, at.encoder, at.encoder.emptyLoadAssignment(name)));
  } else if (clusters === undefined) removed.push(name);
}

/** An upper bound of its encoding. */
export function sizeOf(content: ResponseContent): number {
  let bytes = 128;
  for (const step of content.steps) bytes += step.byteLength;
  for (const own of content.own) bytes += totalLength(own.frames);
  for (const name of content.removed) bytes += name.length + 2;
  return bytes;
}
