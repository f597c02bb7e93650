import type { EventEmitter } from "node:events";
// @ts-types="@types/ws"
import type { WebSocket } from "ws";
import { type Channel, closedError, networkError, sizeError, UnitQueue } from "../../protocol/mod.ts";

/** Above either, nothing more is read from the socket. */
const readAhead = { bytes: 16_384, messages: 16 };
const mostWaiting = 512;
/** Bytes besides the first message, above which no more are taken from the socket before that is whole. */
const mostBesideFirst = 4_096;

export const receiverOptions = {
  noServer: true,
  perMessageDeflate: false,
  // One just above the largest block still gets its answer.
  maxPayload: 65_536 + 1_024,
  maxFragments: 16,
  maxBufferedChunks: 256,
  // One message, ping or pong a turn: a flood of them does not hold up the other connections.
  allowSynchronousEvents: false,
  // Milliseconds for the peer to answer a close frame; the session closes most connections sooner.
  closeTimeout: 10_000,
};

export class WsChannel implements Channel {
  readonly #socket: WebSocket;
  readonly #incoming = new UnitQueue();
  readonly #released: Promise<void>;
  /** Until the first message is whole: the bytes that have come, and those that it should have. */
  #first: { received: number; expected: number } | null = { received: 0, expected: 0 };
  #closed = false;

  constructor(socket: WebSocket, stream: EventEmitter = socket) {
    this.#socket = socket;
    // The WebSocket's own event may come turns after the connection is released.
    this.#released = new Promise((resolve) => void stream.once("close", resolve));
    const count = (bytes: Uint8Array) => {
      if (this.#first !== null) this.#first.received += bytes.length;
      this.#hold();
    };
    stream.on("data", count);
    socket.on("close", () => this.#incoming.end());
    socket.on("error", (error) => this.#incoming.end(networkError("read", error)));
    socket.on("message", (data, isBinary) => {
      stream.off("data", count);
      this.#first = null;
      if (isBinary) this.#take(new Uint8Array(data as Uint8Array));
      else this.#incoming.end(sizeError("text", 0));
      this.#hold();
    });
  }

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#first !== null) {
      this.#first.expected = size;
      this.#hold();
    }
    try {
      return await this.#incoming.read(size);
    } finally {
      this.#hold();
    }
  }

  isReady(): boolean {
    return this.#incoming.length > 0;
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

  #take(message: Uint8Array<ArrayBuffer>): void {
    if (this.#incoming.length >= mostWaiting) return this.#incoming.end(sizeError(message.length, 0));
    this.#incoming.push(message);
  }

  #hold(): void {
    const first = this.#first;
    const isFull = this.#incoming.bytes >= readAhead.bytes || this.#incoming.length >= readAhead.messages ||
      (first !== null && first.received > first.expected + mostBesideFirst);
    if (isFull) this.#socket.pause();
    else if (this.#socket.isPaused) this.#socket.resume();
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
