import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { networkError } from "../../protocol/transport/channel.ts";

/** What bounds the sockets of an HTTP server. */
export interface SocketBounds {
  /** Sockets at a time that are not released; a further one ends the oldest of them. */
  readonly most: () => number;
  /** Milliseconds from the begin of a connection within which its socket is released or ended. */
  readonly timeout: () => number;
  /** Whether a new connection may stay. @default always */
  readonly admit?: (socket: Socket) => boolean;
  /** Is told that a connection could not be accepted. */
  readonly failed?: (error: Error) => void;
}

/**
 * An HTTP server whose sockets have an error listener as long as they live, a deadline and a bound in number.
 *
 * Without the listener a peer's reset ends the process: the HTTP server drops its own where a socket is upgraded.
 */
export class BoundedServer {
  readonly #server: Server;
  readonly #deadlines = new Map<Socket, ReturnType<typeof setTimeout>>();

  private constructor(server: Server, bounds: SocketBounds) {
    this.#server = server;
    server.on("connection", (socket: Socket) => this.#bound(socket, bounds));
  }

  /** Listens on `host:port`; port 0 takes a free one. Throws `TransportError` (`NETWORK`). */
  static async listen(
    server: Server,
    { host, port, ...bounds }: SocketBounds & { readonly host: string; readonly port: number },
  ): Promise<BoundedServer> {
    const bounded = new BoundedServer(server, bounds);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => reject(networkError(`listen on ${host}:${port}`, cause)));
      server.listen(port, host, resolve);
    });
    server.on("error", (error) => bounds.failed?.(error));
    return bounded;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Sockets that are open and not released. */
  get sockets(): number {
    return this.#deadlines.size;
  }

  /** Takes the deadline from a socket, which somebody else looks after from now on. */
  release(socket: Socket): void {
    clearTimeout(this.#deadlines.get(socket));
    this.#deadlines.delete(socket);
  }

  /** Stops listening and ends all sockets that are not released; resolves when the server is closed. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#deadlines.keys()) socket.destroy();
    await closed;
  }

  #bound(socket: Socket, { most, timeout, admit }: SocketBounds): void {
    socket.on("error", () => socket.destroy());
    if (admit?.(socket) === false) return void socket.destroy();
    if (this.#deadlines.size >= most()) this.#endOldest();
    this.#deadlines.set(socket, setTimeout(() => socket.destroy(), timeout()));
    socket.on("close", () => this.release(socket));
  }

  #endOldest(): void {
    for (const socket of this.#deadlines.keys()) {
      this.release(socket);
      return void socket.destroy();
    }
  }
}
