import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { Channel } from "../../protocol/mod.ts";
import type { Listener } from "./accept_loop.ts";
import { BoundedServer } from "./bounded_server.ts";
import type { CertificateHolder } from "./certificate.ts";
import { ConnectionStream } from "./connection_stream.ts";
import type { Admitted } from "../guard/admission.ts";
import { plainAddress } from "../guard/client_network.ts";
import type { LimitSource } from "../config/limits.ts";
import type { ListenerEvents } from "./tcp_listener.ts";
import { receiverOptions, WsChannel } from "./ws_channel.ts";

export interface WebSocketEvents extends ListenerEvents {
  admit(address: string, close: () => void): Admitted | null;
  serve(channel: Channel, admitted: Admitted): void;
}

export interface UpgradeOptions {
  readonly limits: LimitSource;
  /** Whether clients come through a reverse proxy on this machine, which says in `X-Forwarded-For` who they are. */
  readonly trustForwardedFor: boolean;
  readonly reusePort?: boolean;
  /** Of WebSockets over TLS. @default they have no TLS */
  readonly certificate?: CertificateHolder | undefined;
  /** What a browser is answered that asks for a page. @default that this is for WebSockets */
  readonly page?: (request: PageRequest) => Promise<Page | null>;
}

/** What a browser asks a WebSocket port for. */
export interface PageRequest {
  /** In capital letters. */
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** The name that it knows the server by; empty when it does not say. */
  readonly host: string;
}

/** What a browser is answered. */
export interface Page {
  /** HTTP status code. @default 200 */
  readonly status?: number;
  /** HTTP headers; `connection: close` is added. */
  readonly headers: Readonly<Record<string, string>>;
  /** What HEAD leaves out. */
  readonly body: string | Uint8Array;
}

/** transport.md Channels. Loads the library `ws` when called: it takes permissions of its own. */
export async function listenWebSocket(
  host: string,
  port: number,
  events: WebSocketEvents,
  { limits, trustForwardedFor, reusePort = false, certificate, page }: UpgradeOptions,
): Promise<Listener> {
  // @ts-types="@types/ws"
  const { WebSocketServer } = await import("ws");
  const sockets = new WebSocketServer(receiverOptions);
  /** The connections that were let in when they came, which is all but those of a proxy. */
  const admitted = new Map<ConnectionStream, Admitted>();
  const server = createServer((request, response) =>
    void answer(request, response, page).catch((error) => {
      events.log("Cannot answer with a page", error);
      if (response.headersSent) response.destroy();
      else write(response, failure);
    })
  );
  // By itself it drops what is behind the 2000th, which may be what a proxy says. Their bytes are bounded all the same.
  server.maxHeadersCount = 0;
  server.on("upgrade", (request, socket: Duplex, head) => {
    if (!(socket instanceof ConnectionStream)) return;
    if (request.url !== "/") {
      // Reading on finds the peer's end.
      socket.resume().end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      http.release(socket);
      const channel = new WsChannel(webSocket, socket);
      const client = admitted.get(socket);
      if (client === undefined) return events.accept(channel, forwardedFor(request) ?? socket.remoteAddress);
      admitted.delete(socket);
      events.serve(channel, client);
    });
  });

  /** Whoever says nothing counts as a client in its handshake, by its address. */
  function admit(socket: ConnectionStream): boolean {
    if (trustForwardedFor && isLoopback(socket.remoteAddress)) return true;
    const client = events.admit(socket.remoteAddress, () => socket.destroy());
    if (client === null) return false;
    admitted.set(socket, client);
    socket.once("close", () => {
      if (admitted.delete(socket)) client.left();
    });
    return true;
  }

  const http = BoundedServer.listen(server, {
    host,
    port,
    reusePort,
    certificate,
    most: () => limits().connections,
    timeout: () => limits().handshakeTimeout,
    admit,
    failed: (error) => events.log("Cannot accept a connection", error),
  });
  return { port: http.port, close: () => http.close() };
}

async function answer(
  { method = "", url = "", headers: { host = "" } }: IncomingMessage,
  response: ServerResponse,
  page: UpgradeOptions["page"],
): Promise<void> {
  const given = await page?.({ method, url, host }) ?? refusal;
  write(response, method === "HEAD" ? { ...given, body: "" } : given);
}

function write(response: ServerResponse, { status = 200, headers, body }: Page): void {
  response.writeHead(status, { ...headers, "connection": "close" });
  response.end(body);
}

const refusal: Page = {
  status: 426,
  headers: { "content-type": "text/plain", "upgrade": "websocket" },
  body: "This is an SMP server: connect with a WebSocket.\n",
};

const failure: Page = { status: 500, headers: { "content-type": "text/plain" }, body: "error\n" };

/**
 * A proxy adds what it sees at the end, some with the port, which is another one for each connection. Others pass on what
 * the client says: what is no address counts for nobody, and goes to no other process.
 */
function forwardedFor({ headers }: IncomingMessage): string | undefined {
  const last = String(headers["x-forwarded-for"] ?? "").split(",").at(-1)!.trim();
  const [, address = last] = /^\[(.*)\](?::\d+)?$/.exec(last) ?? /^([\d.]+):\d+$/.exec(last) ?? [];
  const plain = plainAddress(address);
  return isIP(plain) === 0 ? undefined : plain;
}

function isLoopback(address: string): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(address);
}
