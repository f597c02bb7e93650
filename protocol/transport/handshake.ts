import { asciiText, equalBytes, joinParts, randomBytes, textBytes } from "../bytes.ts";
import { encryptOaep } from "../crypto/oaep.ts";
import { decryptOaep, type PrivateKey } from "../crypto/private_key.ts";
import { publicKeyHash } from "../crypto/key_hash.ts";
import { decodePublicKey, type PublicKey } from "../crypto/public_key.ts";
import { sha256 } from "../crypto/runtime.ts";
import { ParseError, TransportError } from "../error.ts";
import { formatExtensions, longestExtensions, parseExtensions } from "../extensions.ts";
import {
  BlockChannel,
  blockSizes,
  defaultBlockSize,
  type SessionKeys,
  swapKeys,
  wipeKeys,
} from "./block_channel.ts";
import { type Channel, terminatedError } from "./channel.ts";

/** The protocol version that this library speaks and announces (transport.md Handshake, 6). */
export const smpVersion = "0.3.2.0";

const headerLength = 8;
const handshakeLength = 102;
const smallestBlock = 4096;
const largestBlock = 65536;
const longestKey = 2048;

/** What a server says first (transport.md Handshake, 1). */
export interface ServerHeader {
  /** Bytes of a block that the server proposes. */
  readonly blockSize: number;
  /** Bytes of the server's public key, which follows. */
  readonly keyLength: number;
}

/** What a client sends encrypted (transport.md Handshake, 3). */
export interface ClientHandshake {
  /** Bytes of a block from the welcome on. */
  readonly blockSize: number;
  /** Keys and base IVs from the client's side. */
  readonly keys: SessionKeys;
}

/** Encodes a server header: 8 bytes. */
export function encodeServerHeader(header: ServerHeader): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, header.blockSize);
  view.setUint16(6, header.keyLength);
  return bytes;
}

/** Decodes a server header of 8 bytes. Throws {@linkcode TransportError} (`HEADER`). */
export function decodeServerHeader(bytes: Uint8Array<ArrayBuffer>): ServerHeader {
  if (bytes.length !== headerLength) throw headerError(`it has ${bytes.length} bytes, not ${headerLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const blockSize = view.getUint32(0), protocol = view.getUint16(4), keyLength = view.getUint16(6);
  if (blockSize < smallestBlock || blockSize > largestBlock) {
    const range = `${smallestBlock} and ${largestBlock}`;
    throw headerError(`block size ${blockSize} is not between ${range}; ${notSmp}`);
  }
  if (protocol !== 0) throw headerError(`protocol ${protocol} is not known`);
  if (keyLength === 0 || keyLength > longestKey) {
    throw headerError(`a key of ${keyLength} bytes is not supported`);
  }
  return { blockSize, keyLength };
}

/** Encodes a client handshake: 102 bytes. */
export function encodeClientHandshake({ blockSize, keys }: ClientHandshake): Uint8Array<ArrayBuffer> {
  const bytes = joinParts([new Uint8Array(6), keys.sndKey, keys.sndBaseIv, keys.rcvKey, keys.rcvBaseIv]);
  new DataView(bytes.buffer).setUint32(0, blockSize);
  return bytes;
}

/**
 * Decodes a client handshake; `null` unless it has 102 bytes, the known protocol, an accepted block size and two keys
 * that differ: with one key both directions would use the same nonces.
 */
export function decodeClientHandshake(bytes: Uint8Array<ArrayBuffer>): ClientHandshake | null {
  if (bytes.length !== handshakeLength) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const blockSize = view.getUint32(0);
  if (!blockSizes.includes(blockSize) || view.getUint16(4) !== 0) return null;
  const keys: SessionKeys = {
    sndKey: bytes.slice(6, 38),
    sndBaseIv: bytes.slice(38, 54),
    rcvKey: bytes.slice(54, 86),
    rcvBaseIv: bytes.slice(86, 102),
  };
  return equalBytes(keys.sndKey, keys.rcvKey) ? null : { blockSize, keys };
}

/** What a client may ask of a handshake. */
export interface ClientHandshakeOptions {
  /** Base64 of SHA-256 over the key that the server must have; without it any key is taken. */
  readonly keyHash?: string;
  /** One of {@linkcode blockSizes}, for servers since 0.4. @default the server's */
  readonly blockSize?: number;
  /**
   * Is called with the extensions that the server lists (extensions.md Server to client), of which 0.3 lists none, and
   * with the protocol version that it names: four numbers with dots.
   */
  readonly welcomed?: (extensions: readonly string[], version: string) => void;
}

/**
 * Does the client's part of the handshake (transport.md Handshake) on a new connection.
 * Throws {@linkcode TransportError}: `HEADER`, `RSA_KEY`, `BAD_HASH`, `VERSION`, `MAJOR_VERSION`, `TERMINATED`,
 * `AES_DECRYPT`, `NETWORK`, `CLOSED`. The caller bounds the time and closes the channel after an error.
 */
export async function clientHandshake(
  channel: Channel,
  options: ClientHandshakeOptions = {},
): Promise<BlockChannel> {
  const header = decodeServerHeader(await readHeader(channel));
  const key = serverKey((await readUnit(channel, header.keyLength)).slice());
  if (options.keyHash !== undefined && await publicKeyHash(key) !== options.keyHash) {
    throw new TransportError("BAD_HASH", "Cannot trust the server: its key is not the one of the address");
  }
  const keys: SessionKeys = {
    sndKey: randomBytes(32),
    sndBaseIv: randomBytes(16),
    rcvKey: randomBytes(32),
    rcvBaseIv: randomBytes(16),
  };
  const blockSize = options.blockSize ?? header.blockSize;
  const encoded = encodeClientHandshake({ blockSize, keys });
  await channel.write([await encryptHandshake(key, encoded)]);
  encoded.fill(0);
  const blocks = await BlockChannel.create(channel, blockSize, keys, {
    serverKey: await sha256(key.der),
    isClient: true,
  });
  wipeKeys(keys);
  const welcome = await blocks.read();
  if (welcome === null) throw terminatedError(0, blockSize);
  const version = readVersion(welcome);
  options.welcomed?.(listedExtensions(welcome, version.length + 1), version);
  return blocks;
}

/** Milliseconds after which a handshake is refused at the earliest: a private operation takes 1 to 8. */
const refusalFloor = 20;

/** What a server is and proposes in handshakes. */
export interface ServerHandshakeOptions {
  /** The transport key that clients are sent. */
  readonly publicKey: PublicKey;
  /** The other half of the transport key. */
  readonly privateKey: PrivateKey<"decrypt">;
  /** Bytes, one of {@linkcode blockSizes}. @default 4096 */
  readonly blockSize?: number;
  /** What the welcome lists (extensions.md Server to client). @default nothing: it is that of 0.3 */
  readonly extensions?: readonly string[];
  /** Whether a client's keys were never used before; a recorded handshake is refused like a wrong one. @default always */
  readonly isNew?: (keys: SessionKeys) => boolean | Promise<boolean>;
  /** Is called when the client's handshake has come, before any work is done on it. */
  readonly arrived?: () => void;
}

/**
 * Does the server's part of the handshake (transport.md Handshake) on a new connection.
 * Throws {@linkcode TransportError}: `AES_KEYS` for every kind of client handshake that is not right, `TERMINATED`,
 * `NETWORK`, `CLOSED`. The caller bounds the time and closes the channel after an error. `AES_KEYS` comes at a random
 * time, later than any decryption takes, so that it does not tell how far the handshake was right.
 */
export async function serverHandshake(
  channel: Channel,
  options: ServerHandshakeOptions,
): Promise<BlockChannel> {
  const { publicKey, privateKey, blockSize = defaultBlockSize, isNew = () => true, extensions = [] } =
    options;
  await channel.write([encodeServerHeader({ blockSize, keyLength: publicKey.der.length }), publicKey.der]);
  const encrypted = await readUnit(channel, privateKey.modulusLength);
  const arrived = performance.now();
  options.arrived?.();
  // A handshake that does not decrypt goes on as one that does not parse: whoever sent it cannot tell which it was.
  const decrypted = await decryptOaep(privateKey, encrypted) ?? new Uint8Array(handshakeLength);
  const handshake = decodeClientHandshake(decrypted);
  decrypted.fill(0);
  if (handshake === null || !await isNew(handshake.keys)) {
    // Deno warns of negative times.
    const left = Math.max(0, refusalFloor * (1 + Math.random()) - (performance.now() - arrived));
    await new Promise((resolve) => setTimeout(resolve, left));
    throw new TransportError("AES_KEYS", "Cannot take the client's handshake: it is not valid");
  }
  const keys = swapKeys(handshake.keys);
  const blocks = await BlockChannel.create(channel, handshake.blockSize, keys, {
    serverKey: await sha256(publicKey.der),
    isClient: false,
  });
  wipeKeys(keys);
  const listed = formatExtensions(extensions);
  await blocks.write([textBytes(listed === "" ? `${smpVersion} ` : `${smpVersion} ${listed} `)]);
  return blocks;
}

async function readUnit(channel: Channel, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const unit = await channel.read(size);
  if (unit === null) throw terminatedError(0, size);
  return unit;
}

/** The server's header. Servers of other protocols wait for the client to speak, and close in the end. */
async function readHeader(channel: Channel): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readUnit(channel, headerLength);
  } catch (cause) {
    if (!(cause instanceof TransportError && cause.code === "TERMINATED")) throw cause;
    const message = `Cannot read the server's header: the peer closed the connection before it; ${notSmp}`;
    throw new TransportError("TERMINATED", message, { cause });
  }
}

function serverKey(der: Uint8Array): PublicKey {
  try {
    return decodePublicKey(der);
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new TransportError("RSA_KEY", `Cannot use the server's key: ${cause.message}`, { cause });
  }
}

async function encryptHandshake(key: PublicKey, handshake: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await encryptOaep(key, handshake);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new TransportError("RSA_KEY", "Cannot use the server's key: it is too short for the handshake", {
      cause,
    });
  }
}

/** transport.md Handshake, 6: four numbers with dots and a space; the first two not greater than our own. */
function readVersion(welcome: Uint8Array): string {
  const text = asciiText(welcome, 0, Math.min(welcome.length, 64));
  const match = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}\.\d{1,6}(?= )/.exec(text);
  if (match === null) throw new TransportError("VERSION", "Cannot read the server's version");
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const [ownMajor, ownMinor] = smpVersion.split(".").map(Number) as [number, number];
  if (major > ownMajor || (major === ownMajor && minor > ownMinor)) {
    throw new TransportError(
      "MAJOR_VERSION",
      `Cannot talk to the server: it speaks ${match[0]}, this is ${smpVersion}`,
    );
  }
  return match[0];
}

/** extensions.md Server to client: a list and a space; anything else is none. */
function listedExtensions(welcome: Uint8Array, start: number): readonly string[] {
  const text = asciiText(welcome, start, Math.min(welcome.length, start + longestExtensions + 1));
  const end = text.indexOf(" ");
  return end < 0 ? [] : parseExtensions(text.slice(0, end));
}

const notSmp = "this may not be an SMP port, or be one for another transport (TCP, WebSocket)";

function headerError(what: string): TransportError {
  return new TransportError("HEADER", `Cannot read the server's header: ${what}`);
}
