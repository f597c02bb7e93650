import {
  type ConnectionOptions,
  type Server,
  setTransportFactory,
  type Transport,
} from "@nats-io/nats-core/internal";
import { readInfo, type ServerInfo } from "./server_info.ts";

/** How a client of NATS connects. */
export interface TransportOptions {
  readonly isEncrypted: boolean;
  /** PEM of certificates that are trusted besides Mozilla's. */
  readonly ca?: string;
}

type Open = (options: Deno.ConnectOptions) => Promise<Deno.TcpConn>;

const readSize = 65_536;

/** Makes those connections of the client that are begun in this turn or the next few. */
export function useTransport(options: TransportOptions): void {
  setTransportFactory({ factory: () => new EngineTransport(options), defaultPort: 4222 });
}

/**
 * A connection to a NATS server. That of the client's package waits until a frozen peer has read before it leaves it,
 * keeps the sockets of attempts that took too long, and has an error that nobody catches when a peer resets the
 * connection while it refuses it.
 */
export class EngineTransport implements Transport {
  readonly lang = "deno";
  readonly version = "1.0.0";
  isClosed = false;
  closeError?: Error;
  readonly #options: TransportOptions;
  readonly #open: Open;
  readonly #connecting = new AbortController();
  readonly #closed = Promise.withResolvers<void | Error>();
  readonly #waiting: Uint8Array[] = [];
  #socket: Deno.Conn | null = null;
  /** What was read to see whether the server encrypts. */
  #first = new Uint8Array(0);
  #isConnected = false;
  #isWriting = false;

  /** `open`: makes the socket. @default Deno.connect */
  constructor(options: TransportOptions, open: Open = Deno.connect) {
    this.#options = options;
    this.#open = open;
  }

  async connect(
    { hostname, port }: Pick<Server, "hostname" | "port">,
    _options: ConnectionOptions,
  ): Promise<void> {
    try {
      const socket = await this.#open({ hostname, port, signal: this.#connecting.signal });
      this.#adopt(socket);
      socket.setNoDelay(true);
      const { info, bytes, hasMore } = await readInfo(socket);
      this.#first = bytes;
      if (this.#options.isEncrypted) await this.#encrypt(socket, hostname, info, hasMore);
      else if (info.tls_required === true) throw new Error("it requires TLS");
      if (this.isClosed) throw new Error("it was closed");
      this.#isConnected = true;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const buffer = new Uint8Array(readSize);
    try {
      if (!this.isClosed) yield this.#first;
      while (!this.isClosed) {
        const length = await this.#socket!.read(buffer);
        // The client would take it for the beginning of what the next connection says.
        if (this.isClosed || length === null) return;
        // The parser keeps what it was given.
        yield buffer.slice(0, length);
      }
    } catch (error) {
      this.#end(error);
    } finally {
      // A client that understands nothing stops to read, and does not begin again by itself.
      this.#end();
    }
  }

  isEncrypted(): boolean {
    return this.#options.isEncrypted;
  }

  send(frame: Uint8Array): void {
    if (this.isClosed || this.#socket === null) return;
    this.#waiting.push(frame);
    if (!this.#isWriting) this.#write(this.#socket);
  }

  // deno-lint-ignore require-await
  async close(error?: Error): Promise<void> {
    this.#end(error);
  }

  disconnect(): void {
    this.#end();
  }

  closed(): Promise<void | Error> {
    return this.#closed.promise;
  }

  discard(): void {
    this.#isConnected = false;
    this.#end();
  }

  async #encrypt(socket: Deno.TcpConn, hostname: string, info: ServerInfo, hasMore: boolean): Promise<void> {
    if (info.tls_required !== true && info.tls_available !== true) throw new Error("it does not offer TLS");
    // What came in the clear would be taken for encrypted.
    if (hasMore) throw new Error("it goes on unencrypted");
    const { ca } = this.#options;
    const encrypted = await Deno.startTls(socket, { hostname, caCerts: ca === undefined ? [] : [ca] });
    this.#adopt(encrypted);
    await encrypted.handshake();
  }

  /** From now on it is closed with this. */
  #adopt(socket: Deno.Conn): void {
    this.#socket = socket;
    if (!this.isClosed) return;
    this.#close();
    throw new Error("it was closed");
  }

  async #write(socket: Deno.Conn): Promise<void> {
    this.#isWriting = true;
    try {
      for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
        let written = 0;
        while (written < frame.length) written += await socket.write(frame.subarray(written));
      }
    } catch (error) {
      this.#end(error);
    }
    this.#isWriting = false;
  }

  #end(error?: unknown): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (error instanceof Error) this.closeError = error;
    this.#connecting.abort();
    this.#waiting.length = 0;
    this.#close();
    // The client begins again when it hears of the end of what it took for connected.
    if (this.#isConnected) this.#closed.resolve(this.closeError);
  }

  #close(): void {
    try {
      this.#socket?.close();
    } catch {
      // It became the encrypted one.
    }
  }
}
