/** What is known after an attempt to append. */
export type PublishOutcome =
  /** It is there, replicated. */
  | { readonly type: "stored"; readonly sequence: number }
  /** The last sequence is another than expected: an earlier attempt, or another writer, was first. */
  | { readonly type: "refused" }
  /** It may be there, or come there. */
  | { readonly type: "unknown"; readonly cause: unknown };

/** How messages are told apart that are looked for. */
export type BatchKind = "batch" | "snapshot";

/** A message of a stream. */
export interface StreamMessage {
  readonly sequence: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * A replicated stream of messages with sequences without gaps, from 1. All reads are of its leader; they reject when it
 * cannot be asked, and may be given again.
 */
export interface LogStream {
  /**
   * Appends behind the message with the sequence `expected`, or not at all. Never rejects; whatever has become of it, the
   * same may be given again and is stored once.
   */
  publish(
    data: Uint8Array,
    options: { readonly expected: number; readonly kind: BatchKind },
  ): Promise<PublishOutcome>;
  /** A message; `null` when there is none with this sequence, not yet or not any more. */
  get(sequence: number): Promise<Uint8Array<ArrayBuffer> | null>;
  /** The last message of a kind; `null` when there is none. */
  last(kind: BatchKind): Promise<StreamMessage | null>;
  /** Sequences; `first` is greater than `last` when there is no message. */
  state(): Promise<{ readonly first: number; readonly last: number }>;
  /** Removes all messages before the one with the sequence `first`. */
  purge(first: number): Promise<void>;
  /** Asks for another leader; `false` where there can be none. */
  stepDown(): Promise<boolean>;
}
