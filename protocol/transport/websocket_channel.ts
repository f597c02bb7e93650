import { deferred } from "../deferred.ts";
import type { TransportError } from "../error.ts";
import { type Channel, closedError, networkError, sizeError } from "./channel.ts";
import { UnitQueue } from "./unit_queue.ts";

/** How many messages and bytes a server may send ahead of the reader; more than an honest one has reason to. */
const mostUnread = { messages: 16_384, bytes: 1 << 26 };
/** Bytes that may wait in the socket before a writer has to wait. */
const highWater = 1 << 18;
/** Milliseconds between looks at whether the socket has taken what waits. */
const drainInterval = 5;
/** Milliseconds that closing waits for the peer to agree. */
const closePatience = 1000;

/**
 * Connects to a WebSocket URL with the platform's `WebSocket`, in browsers too (transport.md Channels).
 * Throws `NETWORK`; when `signal` aborts, its reason.
 */
export async function connectWebSocket(url: string, signal?: AbortSignal): Promise<Channel> {
  signal?.throwIfAborted();
  if (!("WebSocket" in globalThis)) {
    throw networkError(`connect to ${url}`, "there is no WebSocket here; Node has one since version 22");
  }
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const channel = new WebSocketChannel(socket);
  const abort = () => void channel.close();
  signal?.addEventListener("abort", abort);
  try {
    await channel.opened;
    return channel;
  } catch (cause) {
    signal?.throwIfAborted();
    throw networkError(`connect to ${url}`, cause);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

class WebSocketChannel implements Channel {
  readonly opened: Promise<void>;
  readonly #socket: WebSocket;
  readonly #incoming = new UnitQueue();
  readonly #released: Promise<void>;
  #closed = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    const opened = deferred<void>();
    const released = deferred<void>();
    this.opened = opened.promise;
    this.#released = released.promise;
    socket.onopen = () => opened.resolve();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onerror = (event) => {
      const { message: reason = "the WebSocket failed" } = event as { readonly message?: string };
      this.#incoming.end(networkError("read", reason));
      opened.reject(new Error(reason));
    };
    socket.onclose = (event) => {
      this.#incoming.end();
      opened.reject(new Error(`the WebSocket was closed with code ${event.code}`));
      released.resolve();
    };
  }

  read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#incoming.read(size);
  }

  async write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    for (const unit of units) {
      // The platform has no event for this.
      while (this.#isOpen() && this.#socket.bufferedAmount > highWater) await delay(drainInterval);
      if (this.#closed) throw closedError();
      if (!this.#isOpen()) throw networkError("write", "the peer has closed the WebSocket");
      this.#socket.send(unit);
    }
  }

  end(): Promise<void> {
    this.#socket.close();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#incoming.close();
    this.#socket.close();
    let timer;
    const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, closePatience));
    await Promise.race([this.#released, patience]);
    clearTimeout(timer);
  }

  #isOpen(): boolean {
    return !this.#closed && this.#socket.readyState === WebSocket.OPEN;
  }

  #receive(data: unknown): void {
    const { messages, bytes } = mostUnread;
    if (!(data instanceof ArrayBuffer)) this.#fail(sizeError("text", 0));
    else if (this.#incoming.length >= messages || this.#incoming.bytes + data.byteLength > bytes) {
      this.#fail(networkError("read", "the server sends more than it may"));
    } else this.#incoming.push(new Uint8Array(data));
  }

  #fail(error: TransportError): void {
    this.#incoming.end(error);
    this.#socket.close();
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
