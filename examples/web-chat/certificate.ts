/**
 * A TLS certificate for machines that no authority knows, and the authority of its own that signs it. The key of that
 * authority is never stored, so that whoever trusts it trusts this one certificate.
 *
 * @module
 */

/** What is made; PEM. */
export interface MadeCertificate {
  readonly cert: string;
  /** PKCS#8. */
  readonly key: string;
  /** What has signed it, for those who want to trust it. */
  readonly authority: string;
}

/** For what it is made. */
export interface CertificateOptions {
  /** Names and IPv4 addresses; the first one is in its name, too. */
  readonly hosts: readonly string[];
  /** First and last moment. */
  readonly valid: readonly [from: Date, to: Date];
}

type Bytes = Uint8Array<ArrayBuffer>;

const curve = { name: "ECDSA", namedCurve: "P-256" } as const;

/** Makes it with keys of its own (RFC 5280, ECDSA on P-256). */
export async function makeCertificate({ hosts, valid }: CertificateOptions): Promise<MadeCertificate> {
  const [authorityKeys, keys] = await Promise.all(
    [1, 2].map(() => crypto.subtle.generateKey(curve, true, ["sign", "verify"])),
  ) as [CryptoKeyPair, CryptoKeyPair];
  const [authorityInfo, info] = await Promise.all([authorityKeys, keys].map(publicInfo)) as [Bytes, Bytes];
  const keyId = new Uint8Array(await crypto.subtle.digest("SHA-256", authorityInfo)).slice(0, 20);
  const issuer = nameOf(`SimpleXMQ chat on ${hosts[0]}`);
  const signed = (subject: Bytes, publicKey: Bytes, extensions: readonly Bytes[]) =>
    sign({ issuer, subject, publicKey, valid, extensions }, authorityKeys.privateKey);
  const authority = await signed(issuer, authorityInfo, [
    extension(oid.basicConstraints, sequence(boolean(true), integer(Uint8Array.of(0))), true),
    // keyCertSign
    extension(oid.keyUsage, bits(2, 0x04), true),
    extension(oid.subjectKeyId, der(0x04, keyId)),
  ]);
  const cert = await signed(nameOf(hosts[0]!), info, [
    extension(oid.basicConstraints, sequence(), true),
    // digitalSignature
    extension(oid.keyUsage, bits(7, 0x80), true),
    extension(oid.extendedKeyUsage, sequence(der(0x06, oid.serverAuth))),
    extension(oid.authorityKeyId, sequence(der(0x80, keyId))),
    extension(oid.alternativeName, sequence(...hosts.map(generalName))),
  ]);
  const key = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    cert: pem("CERTIFICATE", cert),
    key: pem("PRIVATE KEY", key),
    authority: pem("CERTIFICATE", authority),
  };
}

interface Content {
  readonly issuer: Bytes;
  readonly subject: Bytes;
  readonly publicKey: Bytes;
  readonly valid: readonly [from: Date, to: Date];
  readonly extensions: readonly Bytes[];
}

async function sign(content: Content, key: CryptoKey): Promise<Bytes> {
  const algorithm = sequence(der(0x06, oid.ecdsaWithSha256));
  // Positive, and long enough to be nobody else's.
  const serial = crypto.getRandomValues(new Uint8Array(16));
  serial[0] = serial[0]! & 0x3f | 0x40;
  const toBeSigned = sequence(
    // Version 3
    der(0xa0, integer(Uint8Array.of(2))),
    integer(serial),
    algorithm,
    content.issuer,
    sequence(...content.valid.map(time)),
    content.subject,
    content.publicKey,
    der(0xa3, sequence(...content.extensions)),
  );
  const signature = new Uint8Array(
    await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, toBeSigned),
  );
  const half = signature.length / 2;
  const numbers = sequence(integer(signature.slice(0, half)), integer(signature.slice(half)));
  return sequence(toBeSigned, algorithm, der(0x03, Uint8Array.of(0), numbers));
}

async function publicInfo({ publicKey }: CryptoKeyPair): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
}

/** Contents of OBJECT IDENTIFIERs. */
const oid = {
  commonName: Uint8Array.of(0x55, 0x04, 0x03),
  subjectKeyId: Uint8Array.of(0x55, 0x1d, 0x0e),
  keyUsage: Uint8Array.of(0x55, 0x1d, 0x0f),
  alternativeName: Uint8Array.of(0x55, 0x1d, 0x11),
  basicConstraints: Uint8Array.of(0x55, 0x1d, 0x13),
  authorityKeyId: Uint8Array.of(0x55, 0x1d, 0x23),
  extendedKeyUsage: Uint8Array.of(0x55, 0x1d, 0x25),
  serverAuth: Uint8Array.of(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01),
  ecdsaWithSha256: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
} as const;

/** A name has 64 characters at most. */
function nameOf(commonName: string): Bytes {
  return sequence(der(0x31, sequence(der(0x06, oid.commonName), der(0x0c, text(commonName.slice(0, 64))))));
}

function generalName(host: string): Bytes {
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(host);
  return isAddress ? der(0x87, Uint8Array.from(host.split("."), Number)) : der(0x82, text(host));
}

function extension(id: Bytes, value: Bytes, isCritical = false): Bytes {
  return sequence(der(0x06, id), ...isCritical ? [boolean(true)] : [], der(0x04, value));
}

/** UTCTime until 2049, GeneralizedTime from then on. */
function time(date: Date): Bytes {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return date.getUTCFullYear() < 2050 ? der(0x17, text(digits.slice(2))) : der(0x18, text(digits));
}

function boolean(value: boolean): Bytes {
  return der(0x01, Uint8Array.of(value ? 0xff : 0));
}

function bits(unused: number, byte: number): Bytes {
  return der(0x03, Uint8Array.of(unused, byte));
}

/** A positive INTEGER in its shortest form. */
function integer(bytes: Bytes): Bytes {
  const start = bytes.findIndex((byte, i) => byte !== 0 || i === bytes.length - 1);
  const shortest = bytes.slice(start);
  return shortest[0]! > 127 ? der(0x02, Uint8Array.of(0), shortest) : der(0x02, shortest);
}

function sequence(...parts: readonly Bytes[]): Bytes {
  return der(0x30, ...parts);
}

function der(tag: number, ...parts: readonly Bytes[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const lengthBytes = length < 128
    ? [length]
    : length < 256
    ? [0x81, length]
    : [0x82, length >> 8, length & 255];
  const bytes = new Uint8Array(1 + lengthBytes.length + length);
  bytes.set([tag, ...lengthBytes]);
  let at = 1 + lengthBytes.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function text(value: string): Bytes {
  return new TextEncoder().encode(value);
}

function pem(label: string, bytes: Bytes): string {
  const lines = bytes.toBase64().match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
