/** Random and mutated certificate requests and tokens against a running daemon with a capped heap. */
import { execFileSync } from 'node:child_process';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as http2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { create, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IstioCertificateRequestSchema } from '#gen/istio/v1/auth/ca_pb.js';
import { readServices } from '../../src/discovery/descriptors.ts';
import { issueToken } from '../../src/identity/localtoken.ts';
import { Discovery } from '../envoy/harness/discovery.ts';
import { pick, randomOf, type Random } from './random.ts';

const shop = join(import.meta.dirname, '..', '..', 'deploy', 'samples', 'bookshop');
const atOnce = 64;
/** The daemon dies when it needs more. */
const maxHeapMegabytes = 224;
const requests = 10_000;

type Port = 'plaintext' | 'tls';

const { path } = readServices().certificates.CreateCertificate;

/** Calls from many addresses of this machine: the limits of one caller would keep the rest from being looked at. */
const addresses = Array.from({ length: 500 }, (_, i) => `127.0.${1 + (i >> 8)}.${i & 255 || 1}`);

/** gRPC by hand, from an address of its own and with bytes as they are. */
class Caller {
  readonly #connect: () => ClientHttp2Session;
  #session: ClientHttp2Session | undefined;

  constructor(connect: () => ClientHttp2Session) {
    this.#connect = connect;
  }

  /** The status that the call ends with; undefined when it is not let to the service. */
  call(authorization: string | undefined, message: Uint8Array): Promise<number | undefined> {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = this.#connect();
      this.#session.on('error', () => undefined);
    }
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = this.#session.request({ ...headers, ...(authorization !== undefined && { authorization }) });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    let code: number | undefined;
    const read = (fields: IncomingHttpHeaders): void => {
      if (fields['grpc-status'] !== undefined) code = Number(fields['grpc-status']);
    };
    stream
      .on('response', read)
      .on('trailers', read)
      .on('error', () => undefined);
    stream.resume();
    stream.end(Buffer.concat([prefix, message]));
    return new Promise((resolve) => stream.once('close', () => resolve(code)));
  }

  close(): void {
    this.#session?.destroy();
  }
}

let daemon: Discovery | undefined;
let folder: string;
const callers = new Map<Port, readonly Caller[]>();
let turns = 0;
/** Good ones, of which the bad ones are made. */
let csrs: string[];
let token: string;
let others: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mizzen-test-'));
  const state = join(folder, 'state');
  daemon = await Discovery.start({
    config: shop,
    state,
    log: join(folder, 'discovery.log'),
    env: { NODE_OPTIONS: `--max-old-space-size=${maxHeapMegabytes}` },
  });
  const { address, grpc, secureGrpc } = daemon.addresses;
  const root = readFileSync(join(state, 'ca', 'root-cert.pem'));
  const host = address;
  callers.set(
    'plaintext',
    addresses.map((localAddress) => {
      return new Caller(() => http2(`http://${host}`, { createConnection: () => connect({ host, port: grpc, localAddress }) }));
    }),
  );
  callers.set(
    'tls',
    addresses.map((localAddress) => {
      const options = { host, port: secureGrpc, localAddress, ca: root, servername: 'localhost', ALPNProtocols: ['h2'] };
      return new Caller(() => http2(`https://${host}`, { createConnection: () => connectTls(options) }));
    }),
  );
  const own = { namespace: 'bookshop', serviceAccount: 'page' };
  ({ token } = await issueToken({ stateDir: state, ...own }));
  // The same names, signed by the key of another control plane.
  const stranger = await issueToken({ stateDir: join(folder, 'stranger'), ...own });
  others = [stranger.token, unsigned(token), confused(token, readFileSync(join(state, 'ca', 'root-cert.pem')))];
  csrs = [request('rsa:2048'), request('ec', '-pkeyopt', 'ec_paramgen_curve:P-256')];
}, 180_000);

afterAll(async () => {
  for (const list of callers.values()) for (const caller of list) caller.close();
  await daemon?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function request(...key: string[]): string {
  const names = ['-subj', '/O=', '-addext', 'subjectAltName=critical,URI:spiffe://cluster.local/ns/bookshop/sa/page'];
  const command = ['req', '-new', '-newkey', ...key, '-nodes', '-keyout', join(folder, 'key.pem'), ...names];
  return execFileSync('openssl', command, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
}

const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function claimsOf(good: string): JsonObject {
  return JSON.parse(Buffer.from(good.split('.')[1] ?? '', 'base64url').toString()) as JsonObject;
}

/** Its algorithm says that there is no signature. */
function unsigned(good: string): string {
  return `${text({ alg: 'none', typ: 'JWT' })}.${text(claimsOf(good))}.`;
}

/** Its algorithm says that what everybody may read is the secret. */
function confused(good: string, readable: Buffer): string {
  const signed = `${text({ alg: 'HS256', typ: 'JWT' })}.${text(claimsOf(good))}`;
  return `${signed}.${createHmac('sha256', readable).update(signed).digest('base64url')}`;
}

const strangersKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** Claims as another would wish them, under a signature that is none of ours. */
function forged(random: Random, good: string): string {
  const header = JSON.parse(Buffer.from(good.split('.')[0] ?? '', 'base64url').toString()) as JsonObject;
  const claims = claimsOf(good);
  const keys = Object.keys(claims);
  for (let n = 1 + random(3); n > 0; n--) {
    claims[pick(random, keys)] = pick<JsonObject[string]>(random, [
      '',
      'istio-ca',
      2 ** 53,
      -1,
      null,
      [],
      {},
      ['istio-ca'],
      'system:serviceaccount:istio-system:istiod',
    ]);
  }
  const signed = `${text(random(4) === 0 ? { ...header, kid: pick(random, ['', '../x', 'none']) } : header)}.${text(claims)}`;
  const [, , signature = ''] = good.split('.');
  // A claim may have got the value that it had.
  if (random(2) === 0 && !good.startsWith(`${signed}.`)) return `${signed}.${signature}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: strangersKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Other bytes, fewer or more of them: never the same. */
function mutated(random: Random, good: Uint8Array): Buffer {
  const bad = Buffer.from(good);
  switch (random(4)) {
    case 0:
      return bad.subarray(0, random(bad.length));
    case 1:
      return Buffer.concat([bad.subarray(0, random(bad.length)), bad.subarray(random(bad.length)), Buffer.of(random(256))]);
    case 2: {
      const at = random(bad.length);
      return Buffer.concat([bad.subarray(0, at), Buffer.from(noise(random, 1 + random(20))), bad.subarray(at)]);
    }
    default:
      for (let n = 1 + random(4); n > 0; n--) {
        const at = random(bad.length);
        bad[at] = ((bad[at] ?? 0) + 1 + random(255)) & 255;
      }
      return bad.equals(good) ? bad.subarray(1) : bad;
  }
}

function noise(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** In a header only some bytes may be. */
function headerText(raw: Uint8Array): string {
  return Buffer.from(raw)
    .toString('latin1')
    .replaceAll(/[^\x21-\x7e]/g, '~');
}

function badToken(random: Random): string | undefined {
  switch (random(6)) {
    case 0:
      return undefined;
    case 1:
      return `Bearer ${pick(random, others)}`;
    case 2:
      return `Bearer ${forged(random, token)}`;
    case 3:
      return headerText(noise(random, random(100)));
    case 4:
      return `Bearer ${headerText(noise(random, random(4)))}.${headerText(noise(random, random(9000)))}`;
    default: {
      const spoilt = headerText(mutated(random, Buffer.from(token)));
      // The signature's last character has bits that mean nothing.
      return spoilt.slice(0, -1) === token.slice(0, -1) ? `Bearer x${token}` : `${pick(random, ['Bearer', 'Istio', 'Basic'])} ${spoilt}`;
    }
  }
}

/** A request that proves nothing, of a caller who does. */
function badCsr(random: Random): string {
  const good = pick(random, csrs);
  const der = Buffer.from(good.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const pem = (body: Uint8Array): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(body).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  switch (random(6)) {
    case 0:
      return Buffer.from(noise(random, random(300))).toString('latin1');
    case 1:
      return pem(noise(random, random(2000)));
    case 2:
      return pem(nested(random(2000)));
    case 3:
      return good.replaceAll('CERTIFICATE REQUEST', pick(random, ['CERTIFICATE', 'PRIVATE KEY', 'X', '']));
    default: {
      const spoilt = mutated(random, der);
      // What stands behind the request is not part of it, and openssl does not read it either.
      return pem(spoilt.subarray(0, der.length).equals(der) ? der.subarray(1) : spoilt);
    }
  }
}

/** Sequences in sequences. */
function nested(depth: number): Buffer {
  let body = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const { length } = body;
    const header = length < 128 ? [0x30, length] : length < 256 ? [0x30, 0x81, length] : [0x30, 0x82, length >> 8, length & 255];
    body = Buffer.concat([Buffer.from(header), body]);
  }
  return body;
}

function call(port: Port, authorization: string | undefined, message: Uint8Array): Promise<number | undefined> {
  const caller = callers.get(port)?.[turns++ % addresses.length];
  if (caller === undefined) throw new Error(port);
  return caller.call(authorization, message);
}

function messageOf(csr: string, validityDuration = 0n, metadata: JsonObject = {}): Uint8Array {
  return toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr, validityDuration, metadata }));
}

/** One that must not be signed: by its token, by its request, by what else it asks for, or by the port that it comes to. */
function attempt(random: Random): Promise<number | undefined> {
  switch (random(5)) {
    case 0:
      return call('plaintext', pick(random, [`Bearer ${token}`, badToken(random)]), messageOf(pick(random, csrs)));
    case 1:
    case 2:
      return call('tls', badToken(random), messageOf(random(2) === 0 ? pick(random, csrs) : badCsr(random)));
    case 3:
      return call('tls', `Bearer ${token}`, random(5) === 0 ? noise(random, random(500)) : messageOf(badCsr(random)));
    default:
      return call(
        'tls',
        `Bearer ${token}`,
        pick(random, [
          () => messageOf(pick(random, csrs), -1n - BigInt(random(1000))),
          () => messageOf(pick(random, csrs), 2n ** 40n + BigInt(random(1000))),
          () => messageOf(pick(random, csrs), 3600n, { ImpersonatedIdentity: 'spiffe://cluster.local/ns/istio-system/sa/istiod' }),
          () => messageOf(pick(random, csrs), 3600n, { CertSigner: headerText(noise(random, random(2000))) || 'x' }),
        ])(),
      );
  }
}

function residentMegabytes(): number {
  const lines = readFileSync(`/proc/${daemon?.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(lines)?.[1]) / 1024;
}

test(`${requests} random and mutated certificate requests and tokens: none is accepted, none is a fault, and memory is bounded`, async () => {
  const random = randomOf(2);
  const counts = new Map<string, number>();
  let left = requests;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const code = await attempt(random);
      const name = code === undefined ? 'no call' : (status[code] ?? String(code));
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const named = Object.fromEntries(counts);
  expect(named['OK']).toBeUndefined();
  // INTERNAL is what grpc-js says of what is no message; there is no such service on the plaintext port; no call has headers as large.
  const expected = [
    'INTERNAL',
    'INVALID_ARGUMENT',
    'PERMISSION_DENIED',
    'RESOURCE_EXHAUSTED',
    'UNAUTHENTICATED',
    'UNIMPLEMENTED',
    'no call',
  ];
  expect(Object.keys(named).filter((code) => !expected.includes(code))).toEqual([]);
  for (const code of ['INVALID_ARGUMENT', 'UNAUTHENTICATED', 'UNIMPLEMENTED']) expect(named[code], code).toBeGreaterThan(1500);
  expect(named['PERMISSION_DENIED']).toBeGreaterThan(300);
  expect(named['RESOURCE_EXHAUSTED'] ?? 0).toBeLessThan(1000);
  expect(named['no call'] ?? 0).toBeLessThan(1000);
  const log = daemon?.fullLog().split('\n') ?? [];
  expect(log.filter((line) => !/"level":"(info|warn)"/.test(line))).toEqual([]);
  expect(log.filter((line) => line.includes('certificate issued'))).toEqual([]);
  expect(residentMegabytes()).toBeLessThan(2 * maxHeapMegabytes);
}, 300_000);
