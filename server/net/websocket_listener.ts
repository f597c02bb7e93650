import { createServer } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import type { WebSocket } from "ws";
import { type Channel, closedError, networkError, sizeError } from "../../protocol/transport/channel.ts";
import { UnitQueue } from "../../protocol/transport/unit_queue.ts";
import type { Listener } from "./accept_loop.ts";
import { BoundedServer } from "./bounded_server.ts";
import { ConnectionStream } from "./connection_stream.ts";
import type { LimitSource } from "../config/limits.ts";
import type { ListenerEvents } from "./tcp_listener.ts";

/** How many messages of a connection are read ahead. */
const readAhead = 4;
/** Bytes above which a message is not taken in at all; one just above the largest block still gets its answer. */
const largestMessage = 1 << 17;

/** How connections come to be WebSockets. */
export interface UpgradeOptions {
  readonly limits: LimitSource;
  /** Whether clients come through a reverse proxy on this machine, which says in `X-Forwarded-For` who they are. */
  readonly trustForwardedFor: boolean;
}

/**
 * Accepts WebSocket connections on `host:port` with path `/` (transport.md Channels); port 0 takes a free one.
 *
 * The library `ws` is loaded by the first call: a server without WebSockets needs neither it nor its permissions.
 */
export async function listenWebSocket(
  host: string,
  port: number,
  events: ListenerEvents,
  { limits, trustForwardedFor }: UpgradeOptions,
): Promise<Listener> {
  // @ts-types="@types/ws"
  const { WebSocketServer } = await import("ws");
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: largestMessage,
  });
  const server = createServer((_request, response) => {
    response.writeHead(426, { "content-type": "text/plain", "connection": "close" }).end(
      "This is an SMP server: connect with a WebSocket.\n",
    );
  });
  server.on("upgrade", (request, socket: Duplex, head) => {
    if (!(socket instanceof ConnectionStream)) return;
    if (request.url !== "/") {
      // Reading on finds the peer's end.
      socket.resume().end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      http.release(socket);
      const forwarded = trustForwardedFor ? request.headers["x-forwarded-for"] : undefined;
      events.accept(new WsChannel(webSocket), clientAddress(socket.remoteAddress, forwarded));
    });
  });
  const http = BoundedServer.listen(server, {
    host,
    port,
    most: () => limits().connections,
    timeout: () => limits().handshakeTimeout,
    failed: (error) => events.log("Cannot accept a connection", error),
  });
  return { port: http.port, close: () => http.close() };
}

/** Who a connection is from: what a proxy on this machine says, which adds what it sees at the end, or the peer itself. */
function clientAddress(
  peer: string | undefined,
  forwarded: string | readonly string[] | undefined,
): string | undefined {
  const isProxy = peer !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(peer);
  const last = isProxy ? String(forwarded ?? "").split(",").at(-1)!.trim() : "";
  return last === "" ? peer : last;
}

/** A WebSocket of the library `ws`, which stops reading when messages are not taken. */
export class WsChannel implements Channel {
  readonly #socket: WebSocket;
  readonly #incoming = new UnitQueue();
  readonly #released: Promise<void>;
  #closed = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#released = new Promise((resolve) => {
      socket.on("close", () => {
        this.#incoming.end();
        resolve();
      });
    });
    socket.on("error", (error) => this.#incoming.end(networkError("read", error)));
    socket.on("message", (data, isBinary) => {
      if (!isBinary) return this.#incoming.end(sizeError("text", 0));
      this.#incoming.push(new Uint8Array(data as Uint8Array));
      if (this.#incoming.length >= readAhead) socket.pause();
    });
  }

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      return await this.#incoming.read(size);
    } finally {
      if (this.#incoming.length < readAhead) this.#socket.resume();
    }
  }

  async write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    await Promise.all(units.map((unit) => this.#send(unit)));
  }

  end(): Promise<void> {
    this.#socket.close();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#incoming.close();
    this.#socket.terminate();
    return this.#released;
  }

  #send(unit: Uint8Array<ArrayBuffer>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(closedError());
      this.#socket.send(unit, { binary: true }, (error) => {
        if (!error) resolve();
        else reject(this.#closed ? closedError(error) : networkError("write", error));
      });
    });
  }
}
