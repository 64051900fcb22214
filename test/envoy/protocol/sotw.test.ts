/** What stock Envoy does over SotW ADS where that differs from what one would guess. */
import { describe, expect, it } from 'vitest';
import type { AdsRequest } from '../harness/ads.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { edsCluster, endpoints } from '../harness/resources.ts';
import { eventually } from '../harness/wait.ts';
import { Session } from './session.ts';

const json = ({ json: body }: { readonly json?: unknown }): unknown => body;

describe('SotW', () => {
  needsEnvoy();

  it('repeats the EDS request after a changed cluster: same names, old nonce and version, and it must be answered', async () => {
    await using session = await Session.start({ protocol: 'sotw' });
    const { stream, envoy } = session;
    stream.sendState('CDS', '1', [edsCluster('a'), edsCluster('b')].map(json));
    await stream.subscription('EDS', 'b');
    const nonce = stream.sendState('EDS', '1', [endpoints('a', [1001]), endpoints('b', [1002])].map(json));
    const acked = await stream.answer(nonce);
    expect(acked).toMatchObject({ version: '1', error: undefined });
    await stream.subscription('LDS');
    const mark = stream.mark;
    stream.sendState('CDS', '2', [edsCluster('a', '2', '2s'), edsCluster('b')].map(json));
    const repeated: AdsRequest = await stream.request('EDS again', (r) => r.type === 'EDS', mark);
    expect({ ...repeated, names: repeated.names.toSorted() }).toEqual({ ...acked, names: acked.names.toSorted() });
    expect((await envoy.clusterStates()).warming).toHaveProperty('a');
    stream.sendState('EDS', '1', [endpoints('a', [1001]), endpoints('b', [1002])].map(json));
    await eventually('a is active', async () => (await envoy.clusterStates()).active['a'] === '2');
  });

  it('keeps the endpoints of a cluster that an EDS response leaves out', async () => {
    await using session = await Session.start({ protocol: 'sotw' });
    const { stream, envoy } = session;
    stream.sendState('CDS', '1', [edsCluster('a'), edsCluster('b')].map(json));
    await stream.subscription('EDS', 'b');
    await stream.answer(stream.sendState('EDS', '1', [endpoints('a', [1001]), endpoints('b', [1002])].map(json)));
    await stream.answer(stream.sendState('EDS', '2', [endpoints('b', [1003])].map(json)));
    expect(await envoy.endpoints('a')).toEqual(['127.0.0.1:1001']);
    expect(await envoy.endpoints('b')).toEqual(['127.0.0.1:1003']);
  });

  it('removes each cluster that a CDS response leaves out', async () => {
    await using session = await Session.start({ protocol: 'sotw' });
    const { stream, envoy } = session;
    stream.sendState('CDS', '1', [edsCluster('a'), edsCluster('b')].map(json));
    await stream.subscription('EDS', 'b');
    await stream.answer(stream.sendState('EDS', '1', [endpoints('a', [1001]), endpoints('b', [1002])].map(json)));
    await stream.answer(stream.sendState('CDS', '2', [edsCluster('b')].map(json)));
    expect(Object.keys((await envoy.clusterStates()).active)).toEqual(['b']);
  });
});
