/** A certificate as a proxy's agent asks for it: Istio's CertificateService, on a connection of its own. */
import { connect } from 'node:http2';
import { FrameReader } from './frames.ts';
import { eachField, lengthDelimited } from './protobuf.ts';

export interface CertificateOptions {
  /** `host:port`. */
  readonly address: string;
  /** Roots of the server's certificate, PEM. */
  readonly ca: string;
  readonly token: string;
  /** PKCS#10 in PEM. */
  readonly request: string;
  readonly limitMs: number;
}

const path = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** Returns how many PEM blocks the answer holds. Throws with the gRPC status when there is none. */
export async function requestCertificate({ address, ca, token, request, limitMs }: CertificateOptions): Promise<number> {
  const session = connect(`https://${address}`, { ca, servername: 'istiod.istio-system.svc' });
  try {
    return await new Promise<number>((resolve, reject) => {
      let chain = 0;
      session.once('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
      });
      stream.setTimeout(limitMs, () => stream.destroy(new Error(`no certificate within ${limitMs} ms`)));
      const frames = new FrameReader((message) => {
        // `IstioCertificateResponse`: cert_chain 1.
        eachField(message, 0, message.length, (field) => {
          if (field.number === 1) chain++;
        });
      });
      stream.on('data', (chunk: Buffer) => frames.push(chunk));
      let code: string | undefined;
      let details = '';
      const onHeaders = (headers: NodeJS.Dict<string | string[] | number>): void => {
        if (headers['grpc-status'] === undefined) return;
        code = String(headers['grpc-status']);
        details = decodeURIComponent(String(headers['grpc-message'] ?? ''));
      };
      stream.once('response', onHeaders);
      stream.once('trailers', onHeaders);
      stream.once('error', reject);
      stream.once('close', () => {
        if (code === '0' && chain > 0) resolve(chain);
        else reject(new Error(`no certificate: gRPC status ${code ?? 'none'} ${details}`.trim()));
      });
      // `IstioCertificateRequest`: csr 1, validity_duration 3.
      const message = lengthDelimited(1, request);
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      stream.end(Buffer.concat([head, message]));
    });
  } finally {
    session.destroy();
  }
}
