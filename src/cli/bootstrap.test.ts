import { expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { bootstrapCommand } from './bootstrap.ts';

interface Printed {
  readonly bootstrap: {
    readonly node: { readonly id: string; readonly cluster: string; readonly locality: object; readonly metadata: object };
  };
  readonly files: object;
  readonly directory: string;
  readonly flags: readonly string[];
}

async function run(...args: string[]): Promise<string> {
  let printed = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    await bootstrapCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .parseAsync(['--name', 'page-1', '--namespace', 'shop', '--ip', '10.0.0.5', ...args], { from: 'user' });
  } finally {
    write.mockRestore();
  }
  return printed;
}

const words = (text: string): string[] => text.split(' ');
const json = async (...args: string[]): Promise<Printed> => JSON.parse(await run('-o', 'json', ...args)) as Printed;

test('the node has the form of Istio', async () => {
  const { bootstrap } = await json(
    ...words('--ip fd00::5 --service-account page --workload page --label app=page --label version=v1 --locality region/zone'),
    ...words('--network east --metadata HTTP10=1 --metadata PROXY_CONFIG={"concurrency":3}'),
  );
  expect(bootstrap.node).toEqual({
    id: 'sidecar~10.0.0.5~page-1.shop~shop.svc.cluster.local',
    cluster: 'page.shop',
    locality: { region: 'region', zone: 'zone' },
    metadata: {
      NAME: 'page-1',
      NAMESPACE: 'shop',
      SERVICE_ACCOUNT: 'page',
      INSTANCE_IPS: '10.0.0.5,fd00::5',
      WORKLOAD_NAME: 'page',
      OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/page',
      LABELS: { app: 'page', version: 'v1' },
      CLUSTER_ID: 'Kubernetes',
      MESH_ID: 'cluster.local',
      NETWORK: 'east',
      INTERCEPTION_MODE: 'REDIRECT',
      ENVOY_STATUS_PORT: 15021,
      ENVOY_PROMETHEUS_PORT: 15090,
      HTTP10: 1,
      PROXY_CONFIG: { concurrency: 3 },
    },
  });
});

test('metadata comes from the environment as with pilot-agent, and flags win over it', async () => {
  vi.stubEnv('ISTIO_META_DNS_CAPTURE', 'true');
  vi.stubEnv('ISTIO_METAJSON_ANNOTATIONS', '{"NETWORK": "west", "IDLE_TIMEOUT": "5s"}');
  const { bootstrap } = await json('--metadata', 'IDLE_TIMEOUT=7s');
  vi.unstubAllEnvs();
  expect(bootstrap.node.metadata).toMatchObject({ DNS_CAPTURE: 'true', NETWORK: 'west', IDLE_TIMEOUT: '7s' });
});

test('YAML carries the flags and the files that it names in a comment, and quotes what YAML 1.1 takes for a boolean', async () => {
  const yaml = await run('--label', 'answer=yes', '--concurrency', '4');
  expect(yaml).toContain(
    '# Run: envoy -c /etc/istio/proxy/bootstrap.yaml --drain-time-s 45 --drain-strategy immediate --concurrency 4 --disable-hot-restart\n',
  );
  expect(yaml).toContain('# sds-token.yaml:\n#   resources:\n');
  expect(yaml).toContain('answer: "yes"');
  expect(parse(yaml)).toEqual((await json('--label', 'answer=yes')).bootstrap);
});

test('the control plane is told the cluster before it reads the token', async () => {
  const { bootstrap } = await json('--cluster-id', 'east');
  expect(bootstrap.node.metadata).toMatchObject({ CLUSTER_ID: 'east' });
  expect(bootstrap).toMatchObject({
    dynamic_resources: { ads_config: { grpc_services: [{ initial_metadata: [{ key: 'clusterid', value: 'east' }] }] } },
  });
});

test('plaintext needs no files', async () => {
  const { files, bootstrap } = await json('--plaintext', '--control-plane', 'localhost:15010');
  expect(files).toEqual({});
  expect(JSON.stringify(bootstrap)).not.toContain('transport_socket');
});

test.each([
  [['--control-plane', 'nowhere'], '"nowhere" is not of the form host:port'],
  [['--admin', 'localhost:15000'], 'an IP address is needed to listen on'],
  [['--ip', 'x'], '"x" is not an IP address'],
  [['--concurrency', '0'], 'not a whole number above 0'],
  [['--metadata', 'X'], 'not of the form KEY=VALUE'],
  [['--client-key', 'key.pem'], 'belong together'],
])('%j is refused', async (args, message) => {
  await expect(run(...args)).rejects.toThrow(message);
});
