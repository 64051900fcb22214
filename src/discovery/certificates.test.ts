import { X509Certificate } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { Registry } from 'prom-client';
import { createLog } from '../admin/log.ts';
import { caMetrics } from '../admin/metrics/ca.ts';
import { Instruments } from '../admin/metrics/instruments.ts';
import { defaultMeshConfig, type MeshConfig } from '../apis/mesh-config.ts';
import { generateKey } from '../ca/keys.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { openCertificates, servingNames, type Certificates } from './certificates.ts';

const instance = { namespace: 'istio-system', revision: 'default', replica: 'a', clusterId: 'Kubernetes' };

async function open(mesh: () => MeshConfig = () => defaultMeshConfig): Promise<{ certificates: Certificates; registry: Registry }> {
  const registry = new Registry();
  const certificates = await openCertificates(
    {
      stateDir: testFolder(),
      mesh,
      ttlMs: 3600_000,
      servingNames: servingNames(instance),
      log: createLog({ ca: 'silent' }),
      metrics: caMetrics(new Instruments(registry), Date.now),
      instance,
    },
    new AbortController().signal,
  );
  onTestFinished(() => certificates.stop());
  return { certificates, registry };
}

test('the control plane is found by the names of its Services, and by those of its revision', () => {
  const names = servingNames({ namespace: 'mesh', revision: 'canary' });
  for (const name of [
    'istiod.mesh.svc',
    'istiod.mesh.svc.cluster.local',
    'istiod-canary.mesh.svc',
    'istiod-remote.mesh.svc',
    'istio-pilot.mesh.svc',
  ])
    expect(names).toContain(name);
  expect(names).toContain('mizzen.mesh.svc');
  expect(names).toContain('localhost');
  expect(servingNames(instance).filter((name) => name.includes('default'))).toEqual([]);
});

test('the serving certificate has those names, and what is in force is told to Prometheus', async () => {
  const { certificates, registry } = await open();
  const leaf = new X509Certificate(certificates.serving.current.certificateChain);
  for (const name of servingNames(instance).filter((each) => each !== '127.0.0.1')) expect(leaf.checkHost(name)).toBe(name);
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
  const page = await registry.metrics();
  expect(page).toMatch(/^mizzen_ca_rotation_state\{state="stable"\} 1$/m);
  expect(page).toMatch(/^mizzen_ca_rotation_state\{state="signing"\} 0$/m);
  expect(page).toMatch(/^mizzen_ca_unusable_secrets 0$/m);
});

test('an alias of the trust domain counts from the moment that it is configured, and no longer than that', async () => {
  let mesh = defaultMeshConfig;
  const { certificates } = await open(() => mesh);
  const { leaf } = certificates.ca.signWorkload(
    { trustDomain: 'old.example', namespace: 'shop', serviceAccount: 'reviews' },
    generateKey('ec-p256').publicKey,
  );
  const ask = async (): Promise<unknown> => {
    const answer = await certificates.authenticate({
      peer: '10.0.0.1:1',
      secure: true,
      clientCertificates: [new X509Certificate(leaf).raw],
    });
    return 'refused' in answer ? answer.refused : answer.caller.identity?.spiffeId;
  };
  expect(await ask()).toContain('trust domain old.example');
  mesh = { ...mesh, trustDomainAliases: ['old.example'] };
  expect(await ask()).toBe('spiffe://old.example/ns/shop/sa/reviews');
  mesh = defaultMeshConfig;
  expect(await ask()).toContain('trust domain old.example');
});
