/** What needs addresses that pods and the API server share: the Service of the API, and webhooks. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, onTestFailed } from 'vitest';
import { PodNetwork } from '../envoy/harness/pods.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { ClusterAuthority } from './harness/keys.ts';
import { addNamespace, addNode, addPod, defaultNode } from './harness/objects.ts';

interface AdmissionReview {
  readonly request: { readonly uid: string; readonly object: { readonly data?: Readonly<Record<string, string>> } };
}

/** Refuses ConfigMaps that hold the key `forbidden`. */
async function startWebhook(authority: ClusterAuthority, serverName: string, address: string): Promise<Server> {
  const { certificate: cert, key } = authority.server([serverName]);
  const server = createServer({ cert, key }, (incoming, outgoing) => {
    let text = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (chunk: string) => (text += chunk));
    incoming.on('end', () => {
      const { request } = JSON.parse(text) as AdmissionReview;
      const allowed = request.object.data?.['forbidden'] === undefined;
      const response = { uid: request.uid, allowed, status: { message: `refused at ${incoming.url}` } };
      outgoing.setHeader('content-type', 'application/json');
      outgoing.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }));
    });
  });
  server.listen(0, address);
  await once(server, 'listening');
  return server;
}

describeWithPods('a test cluster on the network of the pods', () => {
  const stack = new AsyncDisposableStack();
  let network: PodNetwork;
  let cluster: TestCluster;

  beforeAll(async () => {
    const binaries = await clusterBinaries();
    network = stack.use(new PodNetwork('k8s'));
    cluster = stack.use(await TestCluster.start({ address: network.testAddress, binaries }));
    await addNode(cluster.api, defaultNode);
    await addNamespace(cluster.api, 'shop');
  }, 3_600_000);

  afterAll(() => stack.disposeAsync());

  it('is reached from a pod with a token of that pod', async () => {
    onTestFailed(() => console.error(cluster.logs()));
    const pod = network.pod('client', { redirect: false });
    const object = await addPod(cluster.api, { namespace: 'shop', name: 'client', ip: pod.ip });
    const path = `/api/v1/namespaces/shop/serviceaccounts/default/token`;
    const { uid } = object.metadata;
    const spec = { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'client', uid } };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const { status } = await cluster.api.request<{ status: { token: string } }>({ method: 'POST', path, body });
    const config = cluster.kubeconfigFor('client', status);
    const [file, ...args] = pod.asApp([cluster.kubectlPath, '--kubeconfig', config, 'auth', 'whoami', '-o', 'json']);
    const { stdout } = await promisify(execFile)(file, args, { env: { ...process.env, HOME: cluster.folder.path }, timeout: 60_000 });
    const { userInfo } = (JSON.parse(stdout) as { status: { userInfo: { username: string; extra: Record<string, string[]> } } }).status;
    expect(userInfo.username).toBe('system:serviceaccount:shop:default');
    expect(userInfo.extra['authentication.kubernetes.io/pod-name']).toEqual(['client']);
  });

  it('has endpoints for the Service of the API', async () => {
    onTestFailed(() => console.error(cluster.logs()));
    const addresses = await eventually('the Service kubernetes has an endpoint', async () => {
      const json = await cluster.kubectl(['get', 'endpointslices', 'kubernetes', '-o', 'jsonpath={.endpoints[*].addresses[*]}']);
      return json === '' ? undefined : json;
    });
    expect(addresses).toBe(network.testAddress);
  });

  it('calls webhooks on the endpoints of their Service', async () => {
    onTestFailed(() => console.error(cluster.logs()));
    const authority = new ClusterAuthority();
    const server = await startWebhook(authority, 'hook.shop.svc', network.testAddress);
    try {
      const { port } = server.address() as AddressInfo;
      await cluster.apply(webhookManifests({ ca: authority.certificate, address: network.testAddress, port }));
      const configMap = (key: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: { name: ${key}, namespace: shop }
data: { ${key}: "1" }
`;
      // The API server follows webhook configurations and EndpointSlices by watches.
      const refusal = await eventually('the webhook is called', () =>
        cluster.apply(configMap('forbidden')).then(
          () => undefined,
          (fault: Error) => (fault.message.includes('denied the request') ? fault.message : undefined),
        ),
      );
      expect(refusal).toContain('admission webhook "hook.shop.svc" denied the request: refused at /validate');
      expect(await cluster.apply(configMap('allowed'))).toBe('configmap/allowed serverside-applied\n');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

function webhookManifests({ ca, address, port }: { readonly ca: string; readonly address: string; readonly port: number }): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: hook, namespace: shop }
spec: { ports: [{ name: https, port: 443, targetPort: ${port} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: hook-1, namespace: shop, labels: { kubernetes.io/service-name: hook } }
addressType: IPv4
ports: [{ name: https, port: ${port}, protocol: TCP }]
endpoints: [{ addresses: [${address}], conditions: { ready: true } }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: hook }
webhooks:
  - name: hook.shop.svc
    clientConfig:
      caBundle: ${Buffer.from(ca).toString('base64')}
      service: { name: hook, namespace: shop, path: /validate, port: 443 }
    rules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }]
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: shop } }
`;
}
