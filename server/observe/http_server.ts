import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { BoundedServer } from "../net/bounded_server.ts";

export interface Reply {
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly hostName: string;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly timeout: number;
  readonly mostConnections: number;
  readonly reply: (request: HttpRequest) => Reply | Promise<Reply>;
}

export class HttpServer implements AsyncDisposable {
  // Deno.serve has no bound for its connections nor for their time; this has, as each socket can be seen.
  readonly #server: BoundedServer;

  private constructor(server: BoundedServer) {
    this.#server = server;
  }

  static start({ host, port, timeout, mostConnections, reply }: HttpServerOptions): HttpServer {
    const server = createServer((request, response) => void answer(request, response, reply));
    return new HttpServer(
      BoundedServer.listen(server, { host, port, most: () => mostConnections, timeout: () => timeout }),
    );
  }

  get port(): number {
    return this.#server.port;
  }

  get connections(): number {
    return this.#server.sockets;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.close();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  reply: HttpServerOptions["reply"],
): Promise<void> {
  const { status = 200, headers, body } = await safeReply(request, reply);
  const bytes = new TextEncoder().encode(body);
  response.writeHead(status, { ...headers, "content-length": String(bytes.length), "connection": "close" });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

async function safeReply(
  { method = "", url = "", headers: { host = "" } }: IncomingMessage,
  reply: HttpServerOptions["reply"],
): Promise<Reply> {
  try {
    const path = url.startsWith("/") ? url.split("?", 1)[0]! : "";
    return await reply({ method, path, hostName: hostNameOf(host) });
  } catch {
    return { status: 500, headers: { "content-type": "text/plain" }, body: "error\n" };
  }
}

function hostNameOf(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? "";
}
