import { connectDeno } from "./deno_connection.ts";
import { connectNode } from "./node_connection.ts";
import { formatAddress } from "../address.ts";
import { joinParts } from "../bytes.ts";
import { type Channel, closedError, networkError, terminatedError } from "./channel.ts";
import { ReadAhead, ReadBuffer } from "./read_buffer.ts";

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
    const connection = await ("Deno" in globalThis ? connectDeno : connectNode)(host, port, signal);
    return tcpChannel(connection);
  } catch (cause) {
    signal?.throwIfAborted();
    throw networkError(`connect to ${formatAddress({ host, port })}`, cause);
  }
}

/**
 * A channel over a TCP connection, which it owns from now on; throws what the connection throws when it has broken, and
 * has closed it then. `readAhead` bounds the memory of many channels that are given the same one.
 */
export function tcpChannel(connection: TcpConnection, readAhead: ReadAhead = new ReadAhead(1)): Channel {
  try {
    connection.setNoDelay(true);
  } catch (error) {
    connection.close();
    throw error;
  }
  return new TcpChannel(connection, readAhead);
}

class TcpChannel implements Channel {
  readonly releasesWritten = true;
  readonly #connection: TcpConnection;
  readonly #buffer: ReadBuffer;
  /** A read of the system that is under way, or the end. */
  #reading: Promise<number | null> | null = null;
  #closed = false;

  constructor(connection: TcpConnection, readAhead: ReadAhead) {
    this.#connection = connection;
    this.#buffer = new ReadBuffer(readAhead);
  }

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const buffer = this.#buffer;
    if (this.#closed) throw closedError();
    while (buffer.length < size) {
      this.#reading ??= this.#read(size);
      const count = await this.#reading;
      if (count !== null) continue;
      if (buffer.length === 0) return null;
      throw terminatedError(buffer.length, size);
    }
    const unit = buffer.take(size);
    if (buffer.length < size && this.#reading === null && buffer.readsAhead(size)) {
      this.#reading = this.#read(size);
      // Who reads the next unit is told.
      this.#reading.catch(() => {});
    }
    return unit;
  }

  isReady(size: number): boolean {
    return this.#buffer.length >= size;
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
      this.#buffer.release();
      this.#connection.close();
    }
    return Promise.resolve();
  }

  /** Stays in `#reading` when nothing more comes. */
  async #read(size: number): Promise<number | null> {
    const count = await this.#try("read", () => this.#connection.read(this.#buffer.space(size)));
    if (count === null) return null;
    this.#buffer.filled(count, size);
    this.#reading = null;
    return count;
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
