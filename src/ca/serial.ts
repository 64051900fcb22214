import { randomBytes } from 'node:crypto';

/**
 * 16 random bytes, of which the first is 0x40 to 0x7f: a high bit would make the number negative, which Go refuses, and a leading zero is
 * padding that DER forbids and Envoy, Go and Node refuse. 126 random bits remain; RFC 5280 allows 20 bytes and wants 64 bits.
 */
export function newSerial(random: (size: number) => Uint8Array = randomBytes): Buffer {
  const serial = Buffer.from(random(16));
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  return serial;
}
