import type { ByteStream } from "../link/byte_stream.ts";
import { streamPair } from "../link/stream_pair.ts";
import { unlessAborted } from "./retrying.ts";
import type { NodeStreams, StreamRequest } from "./node_streams.ts";
import type { Ownership } from "./ownership.ts";
import type { PartitionKeeper } from "./partition_keeper.ts";

export interface OwnerStreamsOptions {
  readonly node: string;
  readonly keeper: () => Pick<PartitionKeeper, "ownership" | "serves">;
  readonly streams: NodeStreams;
}

interface Made extends Ownership {
  readonly stream: ByteStream;
}

/** Streams to whichever node owns a partition: each ends when another one does. */
export class OwnerStreams {
  readonly #options: OwnerStreamsOptions;
  /** By partition. */
  readonly #made = new Map<number, Made>();
  /** The highest epochs that were seen: lower ones are of former owners. */
  readonly #epochs = new Map<number, number>();
  #changed = Promise.withResolvers<void>();

  constructor(options: OwnerStreamsOptions) {
    this.#options = options;
  }

  /** Makes a stream, as soon as there is an owner. Rejects when the owner cannot be reached. */
  async connect(partition: number, signal: AbortSignal): Promise<ByteStream> {
    for (;;) {
      signal.throwIfAborted();
      const { promise } = this.#changed;
      const owner = this.#ownerOf(partition);
      const stream = owner && await this.#open(partition, owner);
      if (stream !== null) {
        this.#made.set(partition, { ...owner!, stream });
        // Another one may have followed while it was made.
        this.look();
        return stream;
      }
      await unlessAborted(promise, signal);
    }
  }

  /** Owners may have changed. */
  look(): void {
    for (const [partition, { node, epoch, stream }] of this.#made) {
      const owner = this.#ownerOf(partition);
      if (owner?.node === node && owner.epoch === epoch) continue;
      this.#made.delete(partition);
      stream.close();
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Takes the stream of another node, or says why not. */
  accept({ partition, epoch }: StreamRequest, stream: ByteStream): string | null {
    const owned = this.#options.keeper().serves(partition);
    if (owned === undefined) return "it does not own the partition";
    if (owned.epoch < epoch) return "another owner has followed";
    owned.serve(stream);
    return null;
  }

  #ownerOf(partition: number): Ownership | null {
    const owner = this.#options.keeper().ownership[partition] ?? null;
    const highest = this.#epochs.get(partition) ?? -1;
    if (owner === null || owner.epoch < highest) return null;
    this.#epochs.set(partition, owner.epoch);
    return owner;
  }

  async #open(partition: number, { node, epoch }: Ownership): Promise<ByteStream | null> {
    if (node !== this.#options.node) return await this.#options.streams.open(node, { partition, epoch });
    const owned = this.#options.keeper().serves(partition);
    if (owned === undefined) return null;
    const [here, there] = streamPair();
    owned.serve(there);
    return here;
  }
}
