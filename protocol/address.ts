import { decodeBase64 } from "./base64.ts";
import { encodePublicKeyText, parsePublicKeyText, type PublicKey } from "./crypto/public_key.ts";
import { ParseError } from "./error.ts";
import { isPassword, longestPassword } from "./password.ts";

/** The port of an SMP server whose address names none. */
export const defaultPort = 5223;

/** Where an SMP server is and which transport key it has (transport.md Address). */
export interface ServerAddress {
  /** Host name, IPv4 address, or IPv6 address without brackets. */
  readonly host: string;
  /** TCP port, 1 to 65535; without it, the transport's default. */
  readonly port?: number;
  /** Base64 of SHA-256 over the server's public key; without it, the server cannot be told from an impostor. */
  readonly keyHash?: string;
}

/** What a recipient gives to a sender: server, queue and encryption key (agent.md Invitation). */
export interface QueueInfo {
  /** The server that has the queue. */
  readonly server: ServerAddress;
  /** What senders name the queue by, base64. */
  readonly senderId: string;
  /** What message bodies are encrypted to. */
  readonly encryptionKey: PublicKey;
}

/**
 * Parses `<host>[:port][#<key hash>]` (transport.md Address), where an IPv6 address stands in brackets, which 0.3 has not.
 * Throws {@linkcode ParseError} (`ADDRESS`) that says what is wrong.
 */
export function parseAddress(text: string): ServerAddress {
  const hashAt = text.indexOf("#");
  const hostAndPort = hashAt < 0 ? text : text.slice(0, hashAt);
  const literalEnd = hostAndPort.startsWith("[") ? hostAndPort.indexOf("]") + 1 : 0;
  const colonAt = hostAndPort.indexOf(":", literalEnd);
  const named = colonAt < 0 ? hostAndPort : hostAndPort.slice(0, colonAt);
  // Before anything of it is told: what comes before it is secret.
  if (text.includes("@")) throw addressError('it has a password before "@", which has no place here');
  const host = named.startsWith("[") ? parseLiteral(named) : named;
  if (host === "") {
    throw addressError(hostAndPort.startsWith("::") ? `host is empty ${aboutIpv6}` : "host is empty");
  }
  if (!/^[!-~]+$/.test(host)) throw addressError("host has a space or a character that is not ASCII");
  return {
    host,
    ...(colonAt < 0 ? {} : { port: parsePort(hostAndPort.slice(colonAt + 1)) }),
    ...(hashAt < 0 ? {} : { keyHash: parseKeyHash(text.slice(hashAt + 1)) }),
  };
}

/** A server with what a client needs to create queues there (extensions.md pass1). */
export interface ServerWithPassword {
  /** Where it is. */
  readonly server: ServerAddress;
  /** What it wants from those who create queues; without it, nothing is known of one. */
  readonly password?: string;
}

/**
 * Parses an address as clients are told it, `[<password>@]<host>[:port][#<key hash>]`: the password ends at the last `@`,
 * and is no part of the address, which others are told. Throws {@linkcode ParseError} (`ADDRESS`) without the password.
 */
export function parseServer(text: string): ServerWithPassword {
  const at = text.lastIndexOf("@");
  if (at < 0) return { server: parseAddress(text) };
  const password = text.slice(0, at);
  if (!isPassword(password)) {
    throw addressError(`the password before "@" is not of 1 to ${longestPassword} printable characters`);
  }
  return { server: parseAddress(text.slice(at + 1)), password };
}

/** The text of an address; {@linkcode parseAddress} reads it back. */
export function formatAddress(address: ServerAddress): string {
  const port = address.port === undefined ? "" : `:${address.port}`;
  const hash = address.keyHash === undefined ? "" : `#${address.keyHash}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}${port}${hash}`;
}

/**
 * Parses `smp::<server>::<sender ID>::rsa:<encryption key>` (agent.md Invitation).
 * Throws {@linkcode ParseError} (`QUEUE_INFO`) that says what is wrong.
 */
export function parseQueueInfo(text: string): QueueInfo {
  const parts = splitParts(text);
  if (parts.length !== 4) {
    throw queueInfoError(`4 parts with "::" between them are expected, not ${parts.length}`);
  }
  const [scheme, server, senderId, key] = parts as [string, string, string, string];
  if (scheme !== "smp") throw queueInfoError('it must start with "smp::"');
  if (senderId === "" || decodeBase64(senderId) === null) throw queueInfoError("the sender ID is not base64");
  try {
    return { server: parseAddress(server), senderId, encryptionKey: parsePublicKeyText(key) };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw queueInfoError(error.message, error);
  }
}

/** The text of a queue info; {@linkcode parseQueueInfo} reads it back. */
export function formatQueueInfo(info: QueueInfo): string {
  return ["smp", formatAddress(info.server), info.senderId, encodePublicKeyText(info.encryptionKey)].join(
    "::",
  );
}

/** IPv6 addresses have "::", too. */
function splitParts(text: string): string[] {
  const literal = /^smp::(\[[^\]]*\])/.exec(text)?.[1] ?? "";
  const [scheme = "", server, ...others] = text.replace(literal, "").split("::");
  return server === undefined ? [scheme] : [scheme, literal + server, ...others];
}

/** An IPv6 address in brackets, in the one form that RFC 5952 gives it. */
function parseLiteral(text: string): string {
  const literal = /^\[([0-9a-f:.]{2,45})\]$/i.exec(text)?.[1];
  try {
    if (literal !== undefined) return new URL(`http://[${literal}]`).hostname.slice(1, -1);
  } catch {
    // It only looks like one.
  }
  throw addressError("what begins with a bracket is no IPv6 address in brackets");
}

const aboutIpv6 = "(an IPv6 address stands in brackets)";

function parsePort(text: string): number {
  if (text === "") throw addressError("port is empty");
  const port = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || port < 1 || port > 65535) {
    throw addressError(`port "${text}" is not a number from 1 to 65535 ${aboutIpv6}`);
  }
  return port;
}

function parseKeyHash(text: string): string {
  const hash = decodeBase64(text);
  if (hash === null) throw addressError("key hash is not base64");
  if (hash.length !== 32) throw addressError(`key hash has ${hash.length} bytes, not 32`);
  return text;
}

function addressError(what: string): ParseError {
  return new ParseError("ADDRESS", `Cannot parse server address: ${what}`);
}

function queueInfoError(what: string, cause?: unknown): ParseError {
  return new ParseError("QUEUE_INFO", `Cannot parse queue info: ${what}`, { cause });
}
