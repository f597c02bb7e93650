import type { Server } from "node:http";
import { acceptConnections, type Listener, type ListenOptions } from "./accept_loop.ts";
import type { CertificateHolder } from "./certificate.ts";
import { ConnectionStream } from "./connection_stream.ts";
import { TlsTerminator } from "./tls_terminator.ts";

export interface SocketBounds {
  /** Sockets at a time that are not released; a further one ends the oldest of them. */
  readonly most: () => number;
  readonly timeout: () => number;
  readonly admit?: (socket: ConnectionStream) => boolean;
  readonly failed?: (error: unknown) => void;
  /** Of connections that begin with TLS. @default they have none */
  readonly certificate?: CertificateHolder | undefined;
}

/**
 * Keeps an error listener on each socket: without it a peer's reset ends the process, as the HTTP server
 * drops its own where a socket is upgraded. Takes one request of each, as its answer closes it. Hands the
 * connections to the HTTP server, because by itself that stops accepting for ever once descriptors have run out.
 */
export class BoundedServer {
  readonly #server: Server;
  readonly #bounds: SocketBounds;
  readonly #listener: Listener;
  readonly #tls: TlsTerminator | null;
  readonly #deadlines = new Map<ConnectionStream, ReturnType<typeof setTimeout>>();

  private constructor(
    server: Server,
    { host, port, reusePort = false, certificate, ...bounds }: SocketBounds & ListenOptions,
  ) {
    this.#server = server;
    this.#bounds = bounds;
    // A parser takes all requests that it is given at once, and each costs a hundred times its bytes.
    server.on("request", ({ socket }) => {
      if (socket instanceof ConnectionStream) socket.readNothing();
    });
    const tls = this.#tls = certificate === undefined ? null : new TlsTerminator(certificate);
    try {
      this.#listener = acceptConnections({ host, port, reusePort }, {
        take: (connection) => this.#take(new ConnectionStream(tls?.wrap(connection) ?? connection)),
        failed: (error) => bounds.failed?.(error),
      });
    } catch (error) {
      void tls?.close();
      throw error;
    }
  }

  static listen(
    server: Server,
    options: SocketBounds & ListenOptions,
  ): BoundedServer {
    return new BoundedServer(server, options);
  }

  get port(): number {
    return this.#listener.port;
  }

  get sockets(): number {
    return this.#deadlines.size;
  }

  /** Lifts the deadline: somebody else looks after the socket from now on. */
  release(socket: ConnectionStream): void {
    socket.readFaster();
    clearTimeout(this.#deadlines.get(socket));
    this.#deadlines.delete(socket);
  }

  async close(): Promise<void> {
    for (const socket of this.#deadlines.keys()) socket.destroy();
    await this.#listener.close();
    await this.#tls?.close();
  }

  #take(socket: ConnectionStream): void {
    const { most, timeout, admit } = this.#bounds;
    socket.on("error", () => socket.destroy());
    if (admit?.(socket) === false) return void socket.destroy();
    if (this.#deadlines.size >= most()) this.#endOldest();
    this.#deadlines.set(socket, setTimeout(() => socket.destroy(), timeout()));
    socket.on("close", () => this.release(socket));
    this.#server.emit("connection", socket);
  }

  #endOldest(): void {
    for (const socket of this.#deadlines.keys()) {
      this.release(socket);
      return void socket.destroy();
    }
  }
}
