import type { LogStream, PublishOutcome } from "../../server/cluster/log_stream.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";

/** A stream in memory, which does what a JetStream stream does. */
export class MemoryStream implements LogStream {
  readonly messages = new Map<number, { data: Uint8Array<ArrayBuffer>; kind: string }>();
  #last = 0;
  #first = 1;

  publish(...[data, { expected, kind }]: Parameters<LogStream["publish"]>): Promise<PublishOutcome> {
    if (expected !== this.#last) return Promise.resolve({ type: "refused" });
    this.messages.set(++this.#last, { data: new Uint8Array(data), kind });
    return Promise.resolve({ type: "stored", sequence: this.#last });
  }

  get(sequence: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return Promise.resolve(this.messages.get(sequence)?.data ?? null);
  }

  last(kind: string): ReturnType<LogStream["last"]> {
    const found = [...this.messages].findLast(([, message]) => message.kind === kind);
    return Promise.resolve(found === undefined ? null : { sequence: found[0], data: found[1].data });
  }

  state(): Promise<{ first: number; last: number }> {
    return Promise.resolve({ first: this.#first, last: this.#last });
  }

  purge(first: number): Promise<void> {
    this.#first = Math.max(this.#first, Math.min(first, this.#last + 1));
    for (const sequence of this.messages.keys()) if (sequence < this.#first) this.messages.delete(sequence);
    return Promise.resolve();
  }

  stepDown(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

/** Snapshots in memory, by name and index. */
export class MemorySnapshots implements SnapshotStore {
  readonly chunks = new Map<string, Map<number, Uint8Array<ArrayBuffer>>>();

  write(name: string, index: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    const chunks = this.chunks.get(name) ?? new Map();
    this.chunks.set(name, chunks);
    if (!chunks.has(index)) chunks.set(index, new Uint8Array(data));
    return Promise.resolve();
  }

  read(name: string, index: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return Promise.resolve(this.chunks.get(name)?.get(index) ?? null);
  }

  names(): Promise<string[]> {
    return Promise.resolve([...this.chunks.keys()]);
  }

  delete(name: string): Promise<void> {
    this.chunks.delete(name);
    return Promise.resolve();
  }
}
