import {
  blockSizes,
  isPassword,
  longestPassword,
  type ServerAddress,
  TransportError,
} from "../protocol/mod.ts";
import type { ConnectionLimits } from "./connection.ts";
import type { Transport } from "./transport.ts";

/** Whether a client gets keys that nobody can find out later (extensions.md rekey1). */
export type ForwardSecrecy = "preferred" | "required" | "off";

/**
 * What a program remembers of servers from one connection to the next, by address with key hash: a `Map` will do, which
 * grows by one entry a server.
 */
export interface KnownServers {
  /** The extensions that a server listed last. */
  get(address: string): readonly string[] | undefined;
  /** A server has listed these extensions. */
  set(address: string, extensions: readonly string[]): unknown;
}

/** How a client connects. All times are in milliseconds. */
export interface SmpClientOptions extends Partial<ConnectionLimits> {
  /** How the channel to the server is opened. @default tcpTransport */
  readonly transport?: Transport;
  /** Time for connecting and the handshake. @default 15000 */
  readonly connectTimeout?: number;
  /**
   * Bytes of a block: 4096, 8192, 16384, 32768 or 65536; only servers since 0.4 take another than theirs. `large`: 65536
   * where the server lists `blocks1`, else the server's; to learn it takes one more connection, unless
   * {@linkcode SmpClientOptions.knownServers} tells. @default the server's
   */
  readonly blockSize?: number | "large";
  /** What servers are known to list; is told what they do. Used for addresses with a key hash. @default nothing is known */
  readonly knownServers?: KnownServers;
  /**
   * `preferred`: the session gets new keys at once where the server lists `rekey1`, so that who records it and has the
   * server's key later cannot read it; `required`: a server that does not list it is refused (`FORWARD_SECRECY`); `off`:
   * never. A server that lists it and then does not do it is refused in either case, as somebody in between would be.
   * `preferred` goes without it where the platform has no X25519. @default preferred
   */
  readonly forwardSecrecy?: ForwardSecrecy;
  /**
   * Takes an address without a key hash: whoever is on the way there can pretend to be the server then.
   * @default false
   */
  readonly allowUnverified?: boolean;
  /**
   * The password that a server may want from those who create queues (extensions.md pass1), or what gives it for a server.
   * It is looked for when a queue is created, and only there; the server is shown that it is known, and not given it.
   * @default none
   */
  readonly password?: string | ((server: ServerAddress) => string | undefined);
  /** Closes the client when it aborts, also while it connects. */
  readonly signal?: AbortSignal;
}

const forwardSecrecies: readonly unknown[] = ["preferred", "required", "off"] satisfies ForwardSecrecy[];

/** The largest delay in milliseconds that timers take: they run at once with a larger one. */
const longestTimer = 2 ** 31 - 1;

/** Throws `RangeError` for an option that cannot be. */
export function checkOptions(options: SmpClientOptions): void {
  const { connectTimeout = 15_000, blockSize, forwardSecrecy = "preferred", password } = options;
  connectionLimits(options);
  checkLimit("connectTimeout", connectTimeout);
  if (blockSize !== undefined && blockSize !== "large" && !blockSizes.includes(blockSize)) {
    const known = `${blockSizes.join(", ")}, large`;
    throw new RangeError(`Cannot use option blockSize: ${blockSize} is not one of ${known}`);
  }
  if (typeof password === "string") checkPassword(password);
  if (!forwardSecrecies.includes(forwardSecrecy)) {
    const known = forwardSecrecies.join(", ");
    throw new RangeError(`Cannot use option forwardSecrecy: ${forwardSecrecy} is not one of ${known}`);
  }
}

/** The limits of a connection, each its default unless it is given. Throws `RangeError`. */
export function connectionLimits(options: SmpClientOptions): ConnectionLimits {
  const { commandTimeout = 15_000, keepAliveInterval = 30_000, keepAliveCount = 2 } = options;
  const { inFlight = 256, waiting = 4096 } = options;
  const limits = { commandTimeout, keepAliveInterval, keepAliveCount, inFlight, waiting };
  for (const [name, value] of Object.entries(limits)) checkLimit(name, value);
  return limits;
}

/** Throws `TypeError` for what is no address at all, as of a program whose argument was left out. */
export function checkIsAddress(address: string | ServerAddress): void {
  const given: unknown = address;
  if (typeof given === "string" || typeof (given as Partial<ServerAddress> | undefined)?.host === "string") {
    return;
  }
  throw new TypeError(
    `Cannot use the server: its address is ${given}, not a text or an object with its host`,
  );
}

/** Throws {@linkcode TransportError} (`BAD_HASH`) for an address by which the server cannot be told from an impostor. */
export function checkVerifiable({ host, keyHash }: ServerAddress): void {
  if (keyHash !== undefined) return;
  throw new TransportError(
    "BAD_HASH",
    `Cannot trust the server: the address of ${host} has no key hash; add "#" and the hash that the server prints`,
  );
}

/** Throws `RangeError`, never with the password. */
export function checkPassword(password: string): void {
  if (isPassword(password)) return;
  throw new RangeError(
    `Cannot use option password: it does not have 1 to ${longestPassword} printable ASCII characters without spaces`,
  );
}

function checkLimit(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= longestTimer) return;
  throw new RangeError(`Cannot use option ${name}: ${value} is not a whole number from 1 to ${longestTimer}`);
}
