/** Who gets in with which token, decided by a real API server. */
import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { Authenticator } from '../../src/identity/authenticator.ts';
import { checkNodeClaim } from '../../src/identity/binding.ts';
import { isRefusal, type ProvenIdentity, type Refusal } from '../../src/identity/proof.ts';
import { KubernetesTokenReviewer } from '../../src/identity/tokenreview.ts';
import { connectCluster } from '../../src/kubernetes/config.ts';
import { createTokenReview } from '../../src/kubernetes/token-review.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { addNamespace, addNode, addPod, addServiceAccount, defaultNode, removePod, type RunningPod } from './harness/objects.ts';
import { expiredClaims, podToken, signedAnew } from './harness/tokens.ts';

describe('identity by tokens of a real API server', () => {
  const stack = new AsyncDisposableStack();
  let cluster: TestCluster;
  let authenticator: Authenticator;
  let pods = 0;

  beforeAll(async () => {
    const binaries = await clusterBinaries();
    cluster = stack.use(await TestCluster.start({ binaries }));
    await addNode(cluster.api, defaultNode);
    await addNamespace(cluster.api, 'shop');
    await addNamespace(cluster.api, 'istio-system');
    for (const name of ['reviews', 'ratings']) await addServiceAccount(cluster.api, 'shop', name);
    authenticator = await reviewerAs('mizzen', 'system:auth-delegator');
  }, 3_600_000);

  afterAll(() => stack.disposeAsync());

  const explainFailure = (): void => onTestFailed(() => console.error(cluster.logs()));

  /** An authenticator that asks as a service account with no role but, if given, this one. */
  async function reviewerAs(account: string, role?: string): Promise<Authenticator> {
    await addServiceAccount(cluster.api, 'istio-system', account);
    if (role !== undefined) {
      await cluster.kubectl(['create', 'clusterrolebinding', account, `--clusterrole=${role}`, `--serviceaccount=istio-system:${account}`]);
    }
    const token = (await cluster.kubectl(['create', 'token', account, '-n', 'istio-system'])).trim();
    const { transport } = connectCluster({ kubeconfig: cluster.kubeconfigFor(account, { token }) });
    const reviewer = new KubernetesTokenReviewer({
      ask: (shown, audiences) => createTokenReview(transport, shown, audiences, AbortSignal.timeout(10_000)),
      now: Date.now,
      freshMs: 100,
    });
    return new Authenticator({ trustDomain: 'cluster.local', reviewers: [reviewer] });
  }

  function podOf(serviceAccount: string): Promise<RunningPod> {
    pods++;
    return addPod(cluster.api, { namespace: 'shop', name: `${serviceAccount}-${pods}`, ip: `10.244.0.${pods}`, serviceAccount });
  }

  const proven = (token: string, by = authenticator): Promise<ProvenIdentity | Refusal> =>
    by.authenticate({ peer: '10.244.0.1:4000', secure: true, bearerToken: token });

  async function reason(token: string, by = authenticator): Promise<string> {
    const result = await proven(token, by);
    return isRefusal(result) ? result.reason : 'accepted';
  }

  const nodeOf = (pod: RunningPod): Parameters<typeof checkNodeClaim>[1] => ({
    id: `sidecar~10.244.0.1~${pod.metadata.name}.shop~shop.svc.cluster.local`,
    metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: pod.spec.serviceAccountName },
  });

  it('is that of the pod, and admits the node of that pod only', async () => {
    explainFailure();
    const [mine, sibling, other] = [await podOf('reviews'), await podOf('reviews'), await podOf('ratings')];
    const identity = await proven(await podToken(cluster.api, mine));
    if (isRefusal(identity)) throw new Error(identity.refused);
    expect(identity).toMatchObject({ spiffeId: 'spiffe://cluster.local/ns/shop/sa/reviews', via: 'token', pod: mine.metadata.name });
    expect(checkNodeClaim(identity, nodeOf(mine))).toBeUndefined();
    expect(checkNodeClaim(identity, nodeOf(sibling))?.reason).toBe('claim');
    expect(checkNodeClaim(identity, nodeOf(other))?.reason).toBe('claim');
  });

  it('is refused for another audience, with the default one of the API server too', async () => {
    explainFailure();
    const forApi = await cluster.kubectl(['create', 'token', 'reviews', '-n', 'shop']);
    const forVault = await cluster.kubectl(['create', 'token', 'reviews', '-n', 'shop', '--audience', 'vault']);
    expect(await Promise.all([reason(forApi.trim()), reason(forVault.trim())])).toEqual(['audience', 'audience']);
  });

  it('is refused once the pod is gone', async () => {
    explainFailure();
    const pod = await podOf('reviews');
    const token = await podToken(cluster.api, pod);
    expect(await reason(token)).toBe('accepted');
    await removePod(cluster.api, pod);
    // The API server remembers what it has accepted for 10 s.
    await eventually('the token is refused', async () => (await reason(token)) === 'signature', 30_000);
  });

  it('is refused where a token was changed, signed by another key, or has expired', async () => {
    explainFailure();
    const token = await podToken(cluster.api, await podOf('reviews'));
    const claims = decodeJwt(token);
    const signed = (change: object): Promise<string> => signedAnew(cluster, token, change);
    expect(await reason(await signed({}))).toBe('accepted');

    const [head = '', body = '', signature = ''] = token.split('.');
    const otherBody = Buffer.from(JSON.stringify({ ...claims, sub: 'system:serviceaccount:shop:ratings' })).toString('base64url');
    expect(await reason([head, otherBody, signature].join('.'))).toBe('signature');
    expect(await reason(`${head}.${body}.`)).toMatch(/signature|malformed/);
    expect(await reason(await signed(expiredClaims()))).toBe('expired');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(await reason(await signedAnew(cluster, token, {}, privateKey))).toBe('signature');
    expect(await reason(await signed({ iss: 'https://elsewhere.example.com' }))).toBe('signature');
    const names = { 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'ratings', uid: 'x' } } };
    expect(await reason(await signed(names))).toBe('signature');
  });

  it('is refused for 2,000 tokens with one bit changed, and the real one still counts', async () => {
    explainFailure();
    const token = await podToken(cluster.api, await podOf('reviews'));
    const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
    const reasons = new Map<string, number>();
    for (let batch = 0; batch < 40; batch++) {
      const changed = Array.from({ length: 50 }, (_, index) => {
        // Of the bytes, because the last character of a part has bits that mean nothing.
        const copies = parts.map((part) => Buffer.from(part));
        const part = copies[(batch * 50 + index) % 3] ?? Buffer.alloc(0);
        const at = Math.floor(Math.random() * part.length);
        part.writeUInt8(part.readUInt8(at) ^ (1 << Math.floor(Math.random() * 8)), at);
        return copies.map((copy) => copy.toString('base64url')).join('.');
      });
      for (const why of await Promise.all(changed.map((one) => reason(one)))) reasons.set(why, (reasons.get(why) ?? 0) + 1);
    }
    expect(Object.fromEntries(reasons)).not.toHaveProperty('accepted');
    expect([...reasons.values()].reduce((sum, n) => sum + n, 0)).toBe(2000);
    expect(await reason(token)).toBe('accepted');
  });

  it('is not decided, and the reason said, where we may not ask or the API server is away', async () => {
    explainFailure();
    const token = await podToken(cluster.api, await podOf('reviews'));
    const unbound = await reviewerAs('unbound');
    expect(await proven(token, unbound)).toMatchObject({
      reason: 'unavailable',
      refused: expect.stringContaining('cannot create resource "tokenreviews"') as string,
    });
    await cluster.apiServer.kill();
    expect(await reason(token)).toBe('unavailable');
    await cluster.apiServer.start();
    expect(await eventually('a review', async () => (await reason(token)) === 'accepted', 30_000)).toBe(true);
  });
});
