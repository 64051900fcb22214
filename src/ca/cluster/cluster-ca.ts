/** The certificate authority of a cluster: read from its Secrets, shared by all replicas through one of our own, watched from then on. */
import { CredentialFault, textOf } from '../../identity/fault.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { Backoff } from '../../kubernetes/backoff.ts';
import { pause, type Clock } from '../../kubernetes/clock.ts';
import { isOlder } from '../../kubernetes/held.ts';
import { ApiRefusal, type RawObject } from '../../kubernetes/list.ts';
import { ListWatch } from '../../kubernetes/listwatch.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import { newSelfSignedMaterial } from '../authority.ts';
import { Listeners } from '../listeners.ts';
import { decide, type Given } from '../rotation.ts';
import type { CaStore, SecretProblem } from '../store.ts';
import { decodeState, stableState, viewOf, type CaState, type CaView } from '../state.ts';
import {
  dataOf,
  describe,
  pluggedName,
  readGiven,
  secretBody,
  SecretFault,
  secretRef,
  selfSignedData,
  selfSignedName,
  stateData,
  stateName,
} from './secrets.ts';

export interface ClusterCaOptions {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'replace'>;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly onFault: (error: unknown) => void;
}

/** What is known of one Secret that gives a signer. */
interface Source {
  present: boolean;
  given: Given | undefined;
  problem: SecretProblem | undefined;
}

export class ClusterCa implements CaStore {
  readonly #options: ClusterCaOptions;
  readonly #listeners = new Listeners();
  readonly #sources = new Map<string, Source>();
  #view: CaView;
  #stateVersion: string | undefined;
  /** Somebody has edited the state so that it cannot be read. */
  #damaged = false;

  private constructor(options: ClusterCaOptions, view: CaView, stateVersion: string) {
    this.#options = options;
    this.#view = view;
    this.#stateVersion = stateVersion;
  }

  /**
   * What is in force, made where there is nothing yet. The first of several replicas that start together decides, and the others follow it. Waits for an
   * API server that does not answer; rejects where something must be mended by people first.
   */
  static async open(options: ClusterCaOptions, signal: AbortSignal): Promise<ClusterCa> {
    const backoff = new Backoff(options.clock, { firstMs: 500, maxMs: 5_000 });
    for (;;) {
      signal.throwIfAborted();
      try {
        return await ClusterCa.#open(options, signal);
      } catch (error) {
        if (signal.aborted || error instanceof CredentialFault) throw error;
        if (error instanceof ApiRefusal && error.status === 403) throw forbidden(options.namespace, error);
        options.onFault(error);
        await pause(options.clock, backoff.failed(), signal);
      }
    }
  }

  static async #open(options: ClusterCaOptions, signal: AbortSignal): Promise<ClusterCa> {
    const { api, namespace, now } = options;
    const where = describe(namespace, stateName);
    const kept = await api.get(secretRef(namespace, stateName), signal);
    if (kept !== undefined) {
      const opened = new ClusterCa(options, viewOf(decodeState(dataOf(kept), where), where), kept.metadata.resourceVersion);
      if (opened.view.authority.notAfter.getTime() <= now()) await opened.#replaceExpired(signal);
      return opened;
    }
    const given = (await readSource(options, pluggedName, signal)) ?? (await readSource(options, selfSignedName, signal));
    const state = given === undefined ? await createSelfSigned(options, signal) : stableState(given.origin, given.material);
    const view = viewOf(state, where);
    const created = await createOrGet(options, stateName, secretBody(namespace, stateName, stateData(state)), signal);
    if (created.first) return new ClusterCa(options, view, created.secret.metadata.resourceVersion);
    return new ClusterCa(options, viewOf(decodeState(dataOf(created.secret), where), where), created.secret.metadata.resourceVersion);
  }

  get view(): CaView {
    return this.#view;
  }

  /** The signer that is given now; undefined where there is none, or it cannot be used. `cacerts` counts before `istio-ca-secret`. */
  get given(): Given | undefined {
    const plugged = this.#sources.get(pluggedName);
    return plugged?.present === true ? plugged.given : this.#sources.get(selfSignedName)?.given;
  }

  get plugged(): boolean | undefined {
    return this.#sources.size < 2 ? undefined : this.#sources.get(pluggedName)?.present === true;
  }

  /** What is wrong with the Secrets: what was in force stays in force. */
  problems(): SecretProblem[] {
    const problems = [...this.#sources.values()].flatMap(({ problem }) => problem ?? []);
    const plugged = this.#sources.get(pluggedName);
    if (plugged?.present !== false || this.#view.state.origin !== 'plugged-in') return problems;
    const message =
      `${describe(this.#options.namespace, pluggedName)} was deleted: the authority that it gave stays in force. Restore it, or have a root ` +
      'generated with "mizzen ca rotate"';
    return [...problems, { name: pluggedName, path: '', reason: 'RefNotFound', severity: 'error', message }];
  }

  /** Called when view, given signer or problems have changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  /** Follows the Secrets until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#watch(stateName, (secret) => this.#takeState(secret), signal),
      ...[pluggedName, selfSignedName].map((name) => this.#watch(name, (secret) => this.#takeSource(name, secret), signal)),
    ]);
  }

  /** False: another replica was first, whose state arrives by itself. */
  async save(state: CaState, signal: AbortSignal): Promise<boolean> {
    const { api, namespace } = this.#options;
    const version = this.#stateVersion;
    const body = secretBody(namespace, stateName, stateData(state), version === undefined ? {} : { resourceVersion: version });
    try {
      const ref = secretRef(namespace, stateName);
      const { name: _, ...collection } = ref;
      this.#takeState(version === undefined ? await api.create(collection, body, signal) : await api.replace(ref, body, signal));
      return true;
    } catch (error) {
      if (!(error instanceof ApiRefusal && (error.status === 409 || error.status === 404))) throw error;
      // Deleted, and its event is still to come.
      if (error.status === 404) this.#stateVersion = undefined;
      return false;
    }
  }

  async repair(signal: AbortSignal): Promise<void> {
    const { api, namespace } = this.#options;
    const { state, authority } = this.#view;
    if (this.#stateVersion === undefined || this.#damaged) await this.save(state, signal);
    const own = this.#sources.get(selfSignedName);
    if (state.origin !== 'self-signed' || own === undefined || own.problem !== undefined) return;
    const generation = own.given?.authority.generation;
    if (generation === authority.generation || (generation !== undefined && !state.former.includes(generation))) return;
    const ref = secretRef(namespace, selfSignedName);
    const secret = await api.get(ref, signal);
    const { name: _, ...collection } = ref;
    const metadata = secret === undefined ? {} : { resourceVersion: secret.metadata.resourceVersion };
    const body = secretBody(namespace, selfSignedName, selfSignedData(state.signer), metadata);
    // Its type cannot be changed; istiod's is the same.
    if (secret === undefined) await api.create(collection, body, signal);
    else await api.replace(ref, { ...body, ...(typeof secret['type'] === 'string' && { type: secret['type'] }) }, signal);
  }

  async #watch(name: string, take: (secret: RawObject | undefined) => void, signal: AbortSignal): Promise<void> {
    const { transport, clock, namespace, onFault } = this.#options;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`;
    let seen: RawObject | undefined;
    await new ListWatch<RawObject>({
      transport,
      clock,
      resolve: async () => ({ path, fieldSelector: `metadata.name=${name}` }),
      trim: (secret) => (secret.metadata.name === name ? secret : undefined),
      onChange: ({ upserts, deletes }) => {
        if (deletes.length > 0) seen = undefined;
        for (const secret of upserts.values()) seen = secret;
        take(seen);
      },
      onFault: (fault) => {
        if (fault !== undefined) onFault(new Error(`${describe(namespace, name)} cannot be watched: ${fault.message}`));
      },
    }).run(signal);
  }

  #takeState(secret: RawObject | undefined): void {
    const version = secret?.metadata.resourceVersion;
    if (secret === undefined || version === undefined) {
      this.#stateVersion = undefined;
      this.#listeners.notify();
      return;
    }
    // Older than what we have written ourselves.
    if (this.#stateVersion !== undefined && (version === this.#stateVersion || isOlder(version, this.#stateVersion))) return;
    const where = describe(this.#options.namespace, stateName);
    try {
      this.#view = viewOf(decodeState(dataOf(secret), where), where);
      this.#stateVersion = version;
      this.#damaged = false;
    } catch (error) {
      // What is in force stays so, and the leader puts it right.
      this.#stateVersion = version;
      this.#damaged = true;
      this.#options.onFault(error);
    }
    this.#listeners.notify();
  }

  #takeSource(name: string, secret: RawObject | undefined): void {
    const source: Source = { present: secret !== undefined, given: undefined, problem: undefined };
    if (secret !== undefined) {
      try {
        source.given = readGiven(this.#options.namespace, name, dataOf(secret), this.#options.now());
      } catch (error) {
        const path = error instanceof SecretFault ? error.path : 'data';
        source.problem = {
          name,
          path,
          reason: 'Invalid',
          severity: 'error',
          message: `${textOf(error)}; what was in force stays in force`,
        };
        this.#options.onFault(error);
      }
    }
    this.#sources.set(name, source);
    this.#listeners.notify();
  }

  /** Nothing could be signed any more; whoever had put the new one there could not wait for us. */
  async #replaceExpired(signal: AbortSignal): Promise<void> {
    const { now } = this.#options;
    const given = (await readSource(this.#options, pluggedName, signal)) ?? (await readSource(this.#options, selfSignedName, signal));
    const facts = {
      now: now(),
      given,
      plugged: given?.origin === 'plugged-in',
      request: undefined,
      replicas: undefined,
      exists: () => true,
      patienceMs: 0,
      missingMs: 0,
      leafMs: 0,
      renewalFraction: 0,
    };
    const decision = decide(this.#view, { ...facts, newRoot: () => newSelfSignedMaterial(this.#options.trustDomain, now()) });
    if (decision !== undefined) await this.save(decision.state, signal);
  }
}

async function readSource({ api, namespace, now }: ClusterCaOptions, name: string, signal: AbortSignal): Promise<Given | undefined> {
  const secret = await api.get(secretRef(namespace, name), signal);
  return secret === undefined ? undefined : readGiven(namespace, name, dataOf(secret), now());
}

/** A root of our own, or that of the replica that was first. */
async function createSelfSigned(options: ClusterCaOptions, signal: AbortSignal): Promise<CaState> {
  const { namespace, trustDomain, now } = options;
  const material = newSelfSignedMaterial(trustDomain, now());
  const { secret } = await createOrGet(options, selfSignedName, secretBody(namespace, selfSignedName, selfSignedData(material)), signal);
  const given = readGiven(namespace, selfSignedName, dataOf(secret), now());
  return stableState(given.origin, given.material);
}

async function createOrGet(
  { api, namespace }: ClusterCaOptions,
  name: string,
  body: ReturnType<typeof secretBody>,
  signal: AbortSignal,
): Promise<{ readonly secret: RawObject; readonly first: boolean }> {
  const ref = secretRef(namespace, name);
  const { name: _, ...collection } = ref;
  try {
    return { secret: await api.create(collection, body, signal), first: true };
  } catch (error) {
    if (!(error instanceof ApiRefusal && error.status === 409)) throw error;
  }
  const secret = await api.get(ref, signal);
  if (secret === undefined) throw new ApiRefusal(404, `${describe(namespace, name)} was there and is gone again`);
  return { secret, first: false };
}

function forbidden(namespace: string, error: ApiRefusal): CredentialFault {
  const names = [pluggedName, selfSignedName, stateName].join(', ');
  return new CredentialFault(
    'file',
    `the certificate authority cannot be read or kept: ${error.message}; in namespace ${namespace} grant get, list, watch, create and update on the Secrets ${names}`,
    { cause: error },
  );
}
