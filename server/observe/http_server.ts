import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { networkError } from "../../protocol/transport/channel.ts";

/** What is answered to a request. */
export interface Reply {
  /** @default 200 */
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What is asked. */
export interface HttpRequest {
  readonly method: string;
  /** The path of the URL, without its query. */
  readonly path: string;
  /** The name or address of this server in the request, without the port; `""` when there is none. */
  readonly hostName: string;
}

/** How a server is started. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Milliseconds for a connection from its begin to its end. */
  readonly timeout: number;
  /** Connections at a time; more are closed at once. */
  readonly mostConnections: number;
  /** Answers a request. */
  readonly reply: (request: HttpRequest) => Reply;
}

/** An HTTP server for small answers. It takes one request a connection, and none of its clients can hold it up. */
export class HttpServer implements AsyncDisposable {
  // Deno.serve has no bound for its connections nor for their time; this has, as each socket can be seen.
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #deadlines = new Map<Socket, ReturnType<typeof setTimeout>>();
  readonly #reply: (request: HttpRequest) => Reply;

  private constructor({ timeout, mostConnections, reply }: HttpServerOptions) {
    this.#reply = reply;
    this.#server.on("connection", (socket: Socket) => {
      if (this.#deadlines.size >= mostConnections) return void socket.destroy();
      this.#deadlines.set(socket, setTimeout(() => socket.destroy(), timeout));
      socket.on("close", () => {
        clearTimeout(this.#deadlines.get(socket));
        this.#deadlines.delete(socket);
      });
    });
  }

  /** Starts a server. Throws `TransportError` (`NETWORK`) when the port cannot be had. */
  static async start(options: HttpServerOptions): Promise<HttpServer> {
    const { host, port } = options;
    const http = new HttpServer(options);
    try {
      await new Promise<void>((resolve, reject) => {
        http.#server.once("error", reject);
        http.#server.listen(port, host, resolve);
      });
    } catch (cause) {
      throw networkError(`listen on ${host}:${port}`, cause);
    }
    // A failed accept, for want of file descriptors for instance, passes.
    http.#server.on("error", () => {});
    return http;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#deadlines.size;
  }

  /** Closes all connections; resolves when nothing of the server is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#deadlines.keys()) socket.destroy();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { status = 200, headers, body } = this.#safeReply(request);
    const bytes = new TextEncoder().encode(body);
    response.writeHead(status, { ...headers, "content-length": String(bytes.length), "connection": "close" });
    response.end(request.method === "HEAD" ? undefined : bytes);
  }

  #safeReply({ method = "", url = "", headers: { host = "" } }: IncomingMessage): Reply {
    try {
      const path = url.startsWith("/") ? url.split("?", 1)[0]! : "";
      return this.#reply({ method, path, hostName: hostNameOf(host) });
    } catch {
      return { status: 500, headers: { "content-type": "text/plain" }, body: "error\n" };
    }
  }
}

/** `localhost:80` without its port, in lower case. */
function hostNameOf(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? "";
}
