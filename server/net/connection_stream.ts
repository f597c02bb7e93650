import { Duplex } from "node:stream";
import type { TlsConnection } from "./tls_connection.ts";

/** Bytes that are read at a time, as long as a request may come and after that. */
const readSizes = { request: 512, then: 16_384 };

export class ConnectionStream extends Duplex {
  readonly #connection: Deno.TcpConn | TlsConnection;
  readonly #buffer = new Uint8Array(readSizes.then);
  readonly remoteAddress: string;
  #readSize = readSizes.request;

  constructor(connection: Deno.TcpConn | TlsConnection) {
    super();
    if ("setNoDelay" in connection) connection.setNoDelay(true);
    this.#connection = connection;
    this.remoteAddress = connection.remoteAddr.hostname;
  }

  /** The HTTP server asks for it: ends the stream without waiting for the peer. */
  destroySoon(): void {
    if (this.writableFinished) this.destroy();
    else this.end(() => this.destroy());
  }

  /** A request was read, whose answer is the last one: what is behind it is left to the system. */
  readNothing(): void {
    this.#readSize = 0;
  }

  /** No request is to come. */
  readFaster(): void {
    this.#readSize = readSizes.then;
  }

  override _read(): void {
    if (this.#readSize === 0) return;
    this.#connection.read(this.#buffer.subarray(0, this.#readSize))
      .then((count) => void this.push(count === null ? null : this.#buffer.slice(0, count)))
      // What a listener throws at the data is an error of this stream, too.
      .catch((error) => this.destroy(error));
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(() => done(), done);
  }

  override _writev(
    chunks: { readonly chunk: Uint8Array }[],
    done: (error?: Error | null) => void,
  ): void {
    const bytes = new Uint8Array(chunks.reduce((sum, { chunk }) => sum + chunk.length, 0));
    let at = 0;
    for (const { chunk } of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#writeAll(bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const closing = this.#connection.close();
    if (closing instanceof Promise) closing.then(() => done(error), () => done(error));
    else done(error);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }
}
