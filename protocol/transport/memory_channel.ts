import type { TransportError } from "../error.ts";
import { type Channel, closedError, networkError } from "./channel.ts";
import { UnitQueue } from "./unit_queue.ts";

/** How many units may wait to be read before a writer has to wait. */
const capacity = 16;

/** Makes two channels that are connected to each other inside this program, for tests and embedded servers. */
export function memoryChannelPair(): [Channel, Channel] {
  const a = new MemoryChannel();
  const b = new MemoryChannel();
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class MemoryChannel implements Channel {
  peer!: MemoryChannel;
  readonly incoming = new UnitQueue();
  /** Why this end cannot write any more. */
  broken: TransportError | null = null;
  #wakeWriter: (() => void) | null = null;

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      return await this.incoming.read(size);
    } finally {
      this.peer.wakeWriter();
    }
  }

  async write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    for (const unit of units) {
      while (this.broken === null && this.peer.incoming.length >= capacity) {
        await new Promise<void>((resolve) => this.#wakeWriter = resolve);
      }
      if (this.broken !== null) throw this.broken;
      this.peer.incoming.push(unit.slice());
    }
  }

  end(): Promise<void> {
    this.broken ??= closedError();
    this.peer.incoming.end();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.broken = closedError();
    this.incoming.close();
    this.wakeWriter();
    this.peer.incoming.end();
    this.peer.broken ??= networkError("write", "the peer has closed the connection");
    this.peer.wakeWriter();
    return Promise.resolve();
  }

  wakeWriter(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = null;
  }
}
