/** What programs see of streams (streams.md). */

/** What a stream is said to be. */
export interface StreamDescription {
  /** For people, at most 255 bytes in UTF-8. @default none */
  readonly name?: string;
  /** A media type of at most 127 printable characters of ASCII. @default application/octet-stream */
  readonly type?: string;
  /** Bytes of it; it must have exactly as many. @default not known */
  readonly size?: number;
  /** SHA-256 of all of it, 32 bytes. @default not known */
  readonly sha256?: Uint8Array;
}

/** How far a stream is. */
export interface StreamProgress {
  /** Bytes that the other side's application has taken, of one that is sent; that this side's has, of one that is received. */
  readonly bytes: number;
  /** Bytes of all of it; `null`: not known. */
  readonly size: number | null;
}

/** What is known of a stream. */
export interface StreamInfo {
  /** The connection's alias. */
  readonly connection: string;
  /** 32 hexadecimal digits, the same on both sides. */
  readonly id: string;
  /** As its sender names it, empty for none. Not to be trusted: never a path, and only for people. */
  readonly name: string;
  /** The media type that its sender gives it. Not to be trusted. */
  readonly type: string;
  /** Bytes of all of it; `null`: not known. */
  readonly size: number | null;
  /** Of all of it, 32 bytes; `null`: not known. */
  readonly sha256: Uint8Array<ArrayBuffer> | null;
  /** When the sender has offered it. */
  readonly offeredAt: Date;
  /** `offered`: nobody has accepted it. `accepted`: it goes on, after a restart when both sides go on with it. */
  readonly status: "offered" | "accepted";
  /** How far it is. */
  readonly progress: StreamProgress;
  /**
   * Resolves when the receiver's application has taken all of it. Rejects with `StreamError` when it ends
   * otherwise, also when it is refused or expires, and with `CLOSED` when the agent is closed, though it may go on after the
   * next start. Nobody need wait for it.
   */
  readonly ended: Promise<void>;
  /** Ends it on both sides; `text`, at most 255 bytes, is told to the other one. Nothing when it has ended. */
  cancel(text?: string): Promise<void>;
}

/** A stream that this side has offered. */
export interface OutgoingStream extends StreamInfo {
  /** What tells streams apart. */
  readonly direction: "sending";
  /** Whether it was paused. */
  readonly isPaused: boolean;
  /** Sends nothing more until `resume` is called, or the agent is started again. */
  pause(): void;
  /** Goes on after `pause`. */
  resume(): void;
}

/** A stream that this side writes. */
export interface WritableOutgoingStream extends OutgoingStream {
  /**
   * Resolves when the other side accepts, with what takes its bytes: `write` waits while the other side is behind by its
   * window, `close` until it has all, `abort` cancels. Rejects with `StreamError` when it does not accept.
   */
  readonly accepted: Promise<WritableStream<Uint8Array>>;
}

/** A stream that the other side has offered. */
export interface StreamOffer extends StreamInfo {
  /** What tells streams apart. */
  readonly direction: "receiving";
  /**
   * Accepts it: its bytes, in order, no more of which are in memory than its window has. To read slowly slows the sender;
   * to cancel cancels it. Errors with `StreamError`. After a restart it can be accepted again, when the sender
   * can send it again, `from` the first byte that is not there: else it ends with `LOST`.
   * Throws `TypeError` when it is accepted already, `RangeError` for a byte beyond its size.
   */
  accept(options?: { readonly from?: number }): ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Refuses it; `text`, at most 255 bytes, is told to the other side. Nothing when it has ended. */
  refuse(text?: string): Promise<void>;
}

/** How a file is sent. */
export interface SendFileOptions {
  /** For people. @default the file's name without its folders; none for a `Blob` that has none */
  readonly name?: string;
  /** A media type. @default that of a `Blob`, else application/octet-stream */
  readonly type?: string;
  /** Told at most ten times a second, and at the end. */
  readonly onProgress?: (progress: StreamProgress) => void;
  /** Told how much was read for the SHA-256 that is offered, at most ten times a second. */
  readonly onReading?: (progress: StreamProgress) => void;
}

/** How a file is received. */
export interface ReceiveFileOptions {
  /** Told at most ten times a second, and at the end. */
  readonly onProgress?: (progress: StreamProgress) => void;
  /** Stops it: it can be received again, from where it is, as long as it has not ended. */
  readonly signal?: AbortSignal;
  /** What a writable file has of it already: it is written what follows. @default nothing */
  readonly kept?: Blob;
  /**
   * Another path in the same folder, for when there is something at the given one, or at the last one that this gave, by the
   * time that all has come; asked with 2, 3 and so on. @default that ends it with `FAILED`
   */
  readonly otherPath?: (attempt: number) => string;
}

/** A file that was received. */
export interface ReceivedFile {
  /** Bytes of it. */
  readonly size: number;
  /** What it has, 32 bytes; it was compared when the sender had said it. */
  readonly sha256: Uint8Array<ArrayBuffer>;
  /** Where it is, as it was given; not there when it was given something else than paths. */
  readonly path?: string;
}

/** A place in a browser that a file is written to, such as `FileSystemFileHandle.createWritable` gives. */
export type WritableFile = Pick<WritableStream<Uint8Array>, "getWriter">;
