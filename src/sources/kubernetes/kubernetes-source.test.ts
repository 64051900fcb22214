import { afterEach, describe, expect, it, vi } from 'vitest';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { FakeApiServer } from '../../kubernetes/testing/fake-api-server.ts';
import { RecordingSink } from '../testing/recording-sink.ts';
import { KubernetesSource, type KubernetesSourceOptions } from './kubernetes-source.ts';

const paths = {
  services: '/api/v1/services',
  pods: '/api/v1/pods',
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  secrets: '/api/v1/secrets',
  configMaps: '/api/v1/namespaces/istio-system/configmaps',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
};
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

class Cluster {
  readonly server = new FakeApiServer();
  readonly sink = new RecordingSink();
  /** Resources by `group/version`. */
  readonly served: Record<string, string[]> = { 'discovery.k8s.io/v1': ['endpointslices'] };

  async start(options: Partial<KubernetesSourceOptions> = {}): Promise<KubernetesSource> {
    this.server.intercept = (request, response) => {
      const [, group, version] = /^\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(request.url ?? '') ?? [];
      if (group === undefined) return false;
      const versions = Object.keys(this.served).filter((served) => served.startsWith(`${group}/`));
      const body =
        version === undefined
          ? { versions: versions.map((served) => ({ version: served.split('/')[1] })) }
          : { resources: (this.served[`${group}/${version}`] ?? []).map((name) => ({ name })) };
      response.writeHead(versions.length === 0 ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
      return true;
    };
    const source = new KubernetesSource({
      transport: new HttpTransport({ server: await this.server.listen() }),
      limits: { absentMs: 5 },
      backoff: { firstMs: 1, maxMs: 10 },
      ...options,
    });
    const stop = new AbortController();
    const running = source.run(this.sink, stop.signal);
    stops.push(async () => {
      stop.abort();
      await running;
      await this.server.close();
    });
    return source;
  }

  keys(): string[] {
    return this.sink.keys;
  }
}

describe('KubernetesSource', () => {
  it('delivers everything as one change, then what happens', async () => {
    const cluster = new Cluster();
    cluster.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 80 }] });
    cluster.server.put(paths.namespaces, '', 'shop', {});
    const source = await cluster.start({ cluster: 'c1' });
    await source.ready;
    expect(cluster.sink.changes).toHaveLength(1);
    expect(cluster.keys()).toEqual(['Namespace//shop@c1', 'Service/shop/reviews@c1']);
    expect([...cluster.sink.objects.values()].map((o) => o.origin)).toContainEqual({ cluster: 'c1', resourceVersion: '101' });
    cluster.server.put(paths.services, 'shop', 'ratings', { ports: [{ port: 80 }] });
    cluster.server.delete(paths.services, 'shop', 'reviews');
    await cluster.sink.until(() => cluster.keys().join() === 'Namespace//shop@c1,Service/shop/ratings@c1');
  });

  it('keeps of a pod what makes it a workload, and says nothing of other changes', async () => {
    const cluster = new Cluster();
    const pod = (status: object) => ({
      metadata: {
        labels: { app: 'reviews' },
        annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', 'sidecar.istio.io/inject': 'true' },
        managedFields: [{ manager: 'kubelet' }],
      },
      status: { podIP: '10.1.0.1', phase: 'Running', ...status },
    });
    const spec = {
      serviceAccountName: 'reviews',
      volumes: [{}],
      containers: [{ name: 'main', image: 'x', ports: [{ name: 'web', containerPort: 80 }] }],
    };
    cluster.server.put(paths.pods, 'shop', 'p', spec, pod({}));
    const source = await cluster.start();
    await source.ready;
    expect(cluster.sink.objects.get('Pod/shop/p' as never)).toMatchObject({
      annotations: { 'sidecar.istio.io/inject': 'true' },
      spec: {
        spec: { serviceAccountName: 'reviews', containers: [{ name: 'main', ports: [{ name: 'web', containerPort: 80 }] }] },
        status: { podIP: '10.1.0.1', phase: 'Running' },
      },
    });
    expect(JSON.stringify(cluster.sink.objects.get('Pod/shop/p' as never))).not.toMatch(/managedFields|last-applied|volumes|image/);
    cluster.server.put(paths.pods, 'shop', 'p', spec, pod({ conditions: [{ type: 'Ready' }] }));
    cluster.server.put(paths.pods, 'shop', 'q', spec, pod({ podIP: '10.1.0.2' }));
    await cluster.sink.until(() => cluster.keys().includes('Pod/shop/q'));
    expect(cluster.sink.changes.slice(1).flatMap((c) => c.upserts.map((o) => o.name))).toEqual(['q']);
  });

  it('keeps only Secrets of gateways, also while one changes its type', async () => {
    const cluster = new Cluster();
    const data = { 'tls.crt': 'YQ==', 'tls.key': 'YQ==', other: 'YQ==' };
    cluster.server.put(paths.secrets, 'shop', 'cert', undefined, { type: 'kubernetes.io/tls', data });
    cluster.server.put(paths.secrets, 'shop', 'password', undefined, { type: 'Opaque', data: { password: 'YQ==' } });
    cluster.server.put(paths.secrets, 'shop', 'token', undefined, { type: 'kubernetes.io/service-account-token', data });
    const source = await cluster.start();
    await source.ready;
    expect(cluster.keys()).toEqual(['Secret/shop/cert']);
    expect(JSON.stringify([...cluster.sink.objects.values()])).not.toContain('other');
    cluster.server.delete(paths.secrets, 'shop', 'cert');
    cluster.server.put(paths.secrets, 'shop', 'cert', undefined, { type: 'Opaque', data: { cert: 'Yg==', key: 'Yg==' } });
    await cluster.sink.until(() => JSON.stringify(cluster.sink.objects.get('Secret/shop/cert' as never))?.includes('Opaque') === true);
    cluster.server.cut();
    cluster.server.compact();
    cluster.server.put(paths.services, 'shop', 'after', { ports: [{ port: 80 }] });
    await cluster.sink.until(() => cluster.keys().includes('Service/shop/after'));
    expect(cluster.keys()).toContain('Secret/shop/cert');
  });

  it('waits for kinds that are installed later, in any served version', async () => {
    const cluster = new Cluster();
    const source = await cluster.start();
    await source.ready;
    cluster.server.put('/apis/networking.istio.io/v1beta1/virtualservices', 'shop', 'reviews', {
      hosts: ['reviews'],
      http: [{ route: [{ destination: { host: 'reviews' } }] }],
    });
    cluster.served['networking.istio.io/v1beta1'] = ['virtualservices'];
    await cluster.sink.until(() => cluster.keys().includes('VirtualService/shop/reviews'));
    expect(cluster.sink.objects.get('VirtualService/shop/reviews' as never)?.apiVersion).toBe('networking.istio.io/v1beta1');
  });

  it('reports what is wrong with an object and leaves its last good version in force', async () => {
    const cluster = new Cluster();
    cluster.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 80 }] });
    const source = await cluster.start();
    await source.ready;
    cluster.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 'eighty' }] });
    await cluster.sink.until(() => cluster.sink.problems.length > 0);
    expect(cluster.sink.problems[0]).toMatchObject({ object: 'Service/shop/reviews', path: 'spec.ports[0].port', severity: 'error' });
    expect(cluster.sink.objects.get('Service/shop/reviews' as never)?.spec).toEqual({ ports: [{ port: 80 }] });
  });

  it('does not keep what is in namespaces that are not selected', async () => {
    const cluster = new Cluster();
    const labelled = (value: string) => ({ metadata: { labels: { mesh: value } } });
    cluster.server.put(paths.configMaps, 'istio-system', 'istio', undefined, {
      data: { mesh: 'discoverySelectors:\n- matchLabels: { mesh: "on" }\n' },
    });
    cluster.server.put(paths.namespaces, '', 'shop', {}, labelled('on'));
    cluster.server.put(paths.namespaces, '', 'other', {}, labelled('off'));
    for (const namespace of ['shop', 'other']) cluster.server.put(paths.services, namespace, 'reviews', { ports: [{ port: 80 }] });
    const source = await cluster.start();
    await source.ready;
    const services = () => cluster.keys().filter((key) => key.startsWith('Service/'));
    expect(services()).toEqual(['Service/shop/reviews']);
    // Lists, and not the watches that follow the first ones.
    const asked = () =>
      cluster.server.queries.splice(0).flatMap(({ pathname, searchParams }) => (searchParams.has('watch') ? [] : pathname));
    asked();
    cluster.server.put(paths.namespaces, '', 'other', {}, labelled('on'));
    await cluster.sink.until(() => services().join() === 'Service/other/reviews,Service/shop/reviews');
    // Of each kind that is served what is in the namespace; kinds that are not are asked for again and again.
    const lists = asked().filter((path) => !path.startsWith('/apis/') || path.includes('/discovery.k8s.io/v1/'));
    expect(lists).toContain('/api/v1/namespaces/other/services');
    expect(lists.filter((path) => !path.includes('/namespaces/other/'))).toEqual([]);
    cluster.server.put(paths.namespaces, '', 'shop', {}, labelled('off'));
    await cluster.sink.until(() => services().join() === 'Service/other/reviews');
    expect(asked().filter((path) => path.startsWith('/api/v1/') && !path.includes('/namespaces/other/'))).toEqual([]);
    // However many come, together or in several events.
    for (let i = 0; i < 9; i++) {
      cluster.server.put(paths.services, `more-${i}`, 'reviews', { ports: [{ port: 80 }] });
      cluster.server.put(paths.namespaces, '', `more-${i}`, {}, labelled('on'));
    }
    await cluster.sink.until(() => services().length === 10);
    for (let i = 0; i < 9; i++) cluster.server.delete(paths.services, `more-${i}`, 'reviews');
    await cluster.sink.until(() => services().join() === 'Service/other/reviews');
    cluster.server.delete(paths.configMaps, 'istio-system', 'istio');
    await cluster.sink.until(() => services().join() === 'Service/other/reviews,Service/shop/reviews');
  });

  it('tells of objects whose kind has no effect, and for as long as they are there', async () => {
    const cluster = new Cluster();
    const path = '/apis/telemetry.istio.io/v1/telemetries';
    cluster.served['telemetry.istio.io/v1'] = ['telemetries'];
    cluster.server.put(path, 'shop', 'logs', {});
    const source = await cluster.start();
    await source.ready;
    expect(cluster.sink.problems).toMatchObject([{ object: 'Telemetry/shop/logs', reason: 'NotTranslated', severity: 'warning' }]);
    expect(cluster.keys()).toEqual([]);
    cluster.server.delete(path, 'shop', 'logs');
    await cluster.sink.until(() => cluster.sink.problems.length === 0);
  });

  it('names the permission that is missing', async () => {
    const cluster = new Cluster();
    const source = await cluster.start();
    await source.ready;
    cluster.server.refuse = 403;
    cluster.server.cut();
    await cluster.sink.until(() =>
      cluster.sink.problems.some((p) => p.message.includes('grant get, list and watch on endpointslices.discovery.k8s.io')),
    );
    expect(cluster.sink.changes.every((change) => change.deletes.length === 0)).toBe(true);
  });

  describe('of several control planes side by side', () => {
    const virtualServices = '/apis/networking.istio.io/v1/virtualservices';
    const tags = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const labelled = (labels: Record<string, string>) => ({ metadata: { labels } });
    const route = (host: string) => ({ hosts: [host], http: [{ route: [{ destination: { host } }] }] });

    function written(): Cluster {
      const cluster = new Cluster();
      cluster.served['networking.istio.io/v1'] = ['virtualservices'];
      const { server } = cluster;
      server.put(paths.namespaces, '', 'shop', {}, labelled({ 'istio.io/rev': 'canary' }));
      server.put(virtualServices, 'shop', 'of-all', route('a'));
      server.put(virtualServices, 'shop', 'of-default', route('b'), labelled({ 'istio.io/rev': 'default' }));
      server.put(virtualServices, 'shop', 'of-canary', route('c'), labelled({ 'istio.io/rev': 'canary' }));
      server.put(virtualServices, 'shop', 'of-prod', route('d'), labelled({ 'istio.io/rev': 'prod' }));
      server.put(paths.configMaps, 'istio-system', 'istio', undefined, { data: { mesh: 'trustDomain: one' } });
      server.put(paths.configMaps, 'istio-system', 'istio-canary', undefined, { data: { mesh: 'trustDomain: two' } });
      return cluster;
    }

    it('reads what is labelled for its revision, and what is not labelled', async () => {
      const cluster = written();
      await (
        await cluster.start({ revision: 'canary' })
      ).ready;
      expect(cluster.keys()).toEqual([
        'ConfigMap/istio-system/istio-canary',
        'Namespace//shop',
        'VirtualService/shop/of-all',
        'VirtualService/shop/of-canary',
      ]);
    });

    it('reads what is labelled for a tag while the tag points at it', async () => {
      const cluster = written();
      const tag = (revision: string) => labelled({ 'istio.io/tag': 'prod', 'istio.io/rev': revision });
      cluster.server.put(tags, '', 'istio-revision-tag-prod', undefined, tag('default'));
      await (
        await cluster.start()
      ).ready;
      const ofDefault = ['ConfigMap/istio-system/istio', 'Namespace//shop', 'VirtualService/shop/of-all', 'VirtualService/shop/of-default'];
      expect(cluster.keys()).toEqual([...ofDefault, 'VirtualService/shop/of-prod']);
      cluster.server.put(tags, '', 'istio-revision-tag-prod', undefined, tag('canary'));
      await cluster.sink.until(() => !cluster.keys().includes('VirtualService/shop/of-prod'));
      expect(cluster.keys()).toEqual(ofDefault);
      cluster.server.put(tags, '', 'istio-revision-tag-prod', undefined, tag('default'));
      await cluster.sink.until(() => cluster.keys().includes('VirtualService/shop/of-prod'));
      cluster.server.delete(tags, '', 'istio-revision-tag-prod');
      await cluster.sink.until(() => !cluster.keys().includes('VirtualService/shop/of-prod'));
    });

    describe('where tags may not be read', () => {
      const policies = '/apis/security.istio.io/v1/authorizationpolicies';
      const prod = labelled({ 'istio.io/rev': 'prod' });
      const why =
        'cannot tell if "prod" is a tag of this revision: mutatingwebhookconfigurations cannot be read; until then it CONSEQUENCE; ' +
        'grant get, list and watch on mutatingwebhookconfigurations.admissionregistration.k8s.io';

      async function startWithoutTags(): Promise<{ readonly cluster: Cluster; readonly grant: () => void }> {
        const cluster = written();
        const { server, served } = cluster;
        served['security.istio.io/v1'] = ['authorizationpolicies', 'requestauthentications'];
        served['extensions.istio.io/v1alpha1'] = ['wasmplugins'];
        server.put(policies, 'shop', 'of-prod', { action: 'DENY', rules: [{}] }, prod);
        server.put(policies, 'shop', 'of-default', {}, labelled({ 'istio.io/rev': 'default' }));
        const issuer = { selector: { matchLabels: { app: 'web' } }, jwtRules: [{ issuer: 'them' }] };
        server.put('/apis/security.istio.io/v1/requestauthentications', 'shop', 'of-prod', issuer, prod);
        const plugins = '/apis/extensions.istio.io/v1alpha1/wasmplugins';
        server.put(plugins, 'shop', 'guard', { url: 'oci://x/y', phase: 'AUTHZ' }, prod);
        server.put(plugins, 'shop', 'statistics', { url: 'oci://x/y', phase: 'STATS' }, prod);
        const source = await cluster.start();
        const discover = server.intercept;
        let granted = false;
        server.intercept = (request, response) => {
          if (granted || request.url?.startsWith(tags) !== true) return discover?.(request, response) ?? false;
          response.writeHead(403, { 'content-type': 'application/json' }).end('{"kind":"Status","code":403,"message":"forbidden"}');
          return true;
        };
        await source.ready;
        return { cluster, grant: () => (granted = true) };
      }

      const told = ({ sink }: Cluster) =>
        sink.problems
          .filter(({ reason }) => reason === 'UnknownRevision')
          .map(({ object, severity, message, path }) => ({ object: object as string, severity, message, path }));

      it('what protects is in force, other configuration is not, and each object says so', async () => {
        const { cluster } = await startWithoutTags();
        expect(cluster.keys()).toEqual([
          'AuthorizationPolicy/shop/of-default',
          'AuthorizationPolicy/shop/of-prod',
          'ConfigMap/istio-system/istio',
          'Namespace//shop',
          'RequestAuthentication/shop/of-prod',
          'VirtualService/shop/of-all',
          'VirtualService/shop/of-default',
          'WasmPlugin/shop/guard',
        ]);
        const object = (key: string) => cluster.sink.objects.get(key as never);
        expect(object('AuthorizationPolicy/shop/of-default')?.undecidedTag).toBeUndefined();
        expect(object('AuthorizationPolicy/shop/of-prod')).toMatchObject({ undecidedTag: 'prod', spec: { action: 'DENY' } });
        expect(object('RequestAuthentication/shop/of-prod')).toMatchObject({ unreadable: true, undecidedTag: 'prod' });
        expect(object('RequestAuthentication/shop/of-prod')?.spec).toEqual({ selector: { matchLabels: { app: 'web' } } });
        const path = 'metadata.labels["istio.io/rev"]';
        const closed = { path, severity: 'warning', message: why.replace('CONSEQUENCE', 'is in force as far as it refuses') };
        const without = { path, severity: 'error', message: why.replace('CONSEQUENCE', 'has no effect') };
        expect(told(cluster)).toEqual([
          { object: 'AuthorizationPolicy/shop/of-prod', ...closed },
          { object: 'RequestAuthentication/shop/of-prod', ...closed },
          { object: 'VirtualService/shop/of-canary', ...without, message: without.message.replace('prod', 'canary') },
          { object: 'VirtualService/shop/of-prod', ...without },
          { object: 'WasmPlugin/shop/guard', ...closed },
          { object: 'WasmPlugin/shop/statistics', ...without },
        ]);
      });

      it.each([
        ['default', ['AuthorizationPolicy/shop/of-default', 'AuthorizationPolicy/shop/of-prod'], true],
        ['canary', ['AuthorizationPolicy/shop/of-default'], false],
      ])('as soon as they may be, a tag of revision %s decides', async (revision, expected, ours) => {
        const { cluster, grant } = await startWithoutTags();
        const points = labelled({ 'istio.io/tag': 'prod', 'istio.io/rev': revision });
        cluster.server.put(tags, '', 'istio-revision-tag-prod', undefined, points);
        grant();
        await cluster.sink.until(() => told(cluster).length === 0);
        expect(cluster.keys().filter((key) => key.startsWith('AuthorizationPolicy/'))).toEqual(expected);
        expect(cluster.keys().includes('VirtualService/shop/of-prod')).toBe(ours);
        expect(JSON.stringify([...cluster.sink.objects.values()])).not.toMatch(/undecidedTag|unreadable/);
      });
    });

    it('follows a label that changes', async () => {
      const cluster = written();
      await (
        await cluster.start()
      ).ready;
      cluster.server.put(virtualServices, 'shop', 'of-default', route('b'), labelled({ 'istio.io/rev': 'canary' }));
      await cluster.sink.until(() => !cluster.keys().includes('VirtualService/shop/of-default'));
      cluster.server.put(virtualServices, 'shop', 'of-canary', route('c'), labelled({ 'istio.io/rev': 'default' }));
      await cluster.sink.until(() => cluster.keys().includes('VirtualService/shop/of-canary'));
    });
  });

  it('is not ready while something may not be read, and says what; what has no effect it does not wait for', async () => {
    const cluster = new Cluster();
    cluster.served['networking.istio.io/v1'] = ['proxyconfigs', 'virtualservices'];
    let refused: readonly string[] = ['/virtualservices', '/proxyconfigs', '/mutatingwebhookconfigurations'];
    const source = await cluster.start();
    const { intercept } = cluster.server;
    cluster.server.intercept = (request, response) => {
      if (!refused.some((path) => request.url?.split('?')[0]?.endsWith(path))) return intercept?.(request, response) ?? false;
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', message: 'forbidden' }));
      return true;
    };
    const grant = 'the API server refuses virtualservices: forbidden; grant get, list and watch on virtualservices.networking.istio.io';
    await vi.waitFor(() => expect(source.waitingFor()).toEqual([grant]));
    expect(source.problems().map(({ message }) => message)).toContain(grant);
    expect(cluster.sink.changes).toEqual([]);
    refused = refused.slice(1);
    await source.ready;
    expect(source.waitingFor()).toEqual([]);
    expect(source.problems().map(({ object }) => object)).toEqual(['MutatingWebhookConfiguration//', 'ProxyConfig//']);
  });
});
