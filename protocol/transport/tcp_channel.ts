import { connectNode } from "./node_connection.ts";
import { joinParts } from "../bytes.ts";
import { type Channel, closedError, networkError, terminatedError } from "./channel.ts";

/** The part of `Deno.TcpConn` that a channel needs. */
export interface TcpConnection {
  /** Fills a buffer from its start; gives the number of bytes, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes bytes; gives how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Shuts down the writing half. */
  closeWrite(): Promise<void>;
  /** Closes the connection. */
  close(): void;
  /** Switches Nagle's algorithm off. */
  setNoDelay(noDelay?: boolean): void;
}

/** Connects to `host:port` over TCP (Deno, Node and what is like it). Throws `NETWORK`; when `signal` aborts, its reason. */
export async function connectTcp(host: string, port: number, signal?: AbortSignal): Promise<Channel> {
  signal?.throwIfAborted();
  try {
    const connection = "Deno" in globalThis
      ? await Deno.connect({ hostname: host, port, ...(signal && { signal }) })
      : await connectNode(host, port, signal);
    return tcpChannel(connection);
  } catch (cause) {
    signal?.throwIfAborted();
    throw networkError(`connect to ${host}:${port}`, cause);
  }
}

/** A channel over a TCP connection, which it owns from now on. */
export function tcpChannel(connection: TcpConnection): Channel {
  return new TcpChannel(connection);
}

class TcpChannel implements Channel {
  readonly #connection: TcpConnection;
  #buffer = new Uint8Array(0);
  #closed = false;

  constructor(connection: TcpConnection) {
    this.#connection = connection;
    connection.setNoDelay(true);
  }

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#buffer.length !== size) this.#buffer = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const count = await this.#try("read", () => this.#connection.read(this.#buffer.subarray(filled)));
      if (count !== null) filled += count;
      else if (filled === 0) return null;
      else throw terminatedError(filled, size);
    }
    return this.#buffer;
  }

  async write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    let bytes = inOne(units);
    while (bytes.length > 0) {
      const count = await this.#try("write", () => this.#connection.write(bytes));
      bytes = bytes.subarray(count);
    }
  }

  async end(): Promise<void> {
    await this.#try("end the connection", () => this.#connection.closeWrite());
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#connection.close();
    }
    return Promise.resolve();
  }

  async #try<T>(action: string, operation: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    try {
      return await operation();
    } catch (cause) {
      if (this.#closed) throw closedError(cause);
      throw networkError(action, cause);
    }
  }
}

/** The bytes of all units, which are not copied when they are in a row already. */
function inOne(units: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [first] = units;
  if (first === undefined) return new Uint8Array(0);
  let end = first.byteOffset;
  for (const { buffer, byteOffset, length } of units) {
    if (buffer !== first.buffer || byteOffset !== end) return joinParts(units);
    end += length;
  }
  return new Uint8Array(first.buffer, first.byteOffset, end - first.byteOffset);
}
