/** What frames say of streams (streams.md). */
import type { RouteRecord } from "../ratchet/route_record.ts";

/** Bytes of a stream's ID, and of the ID of a run. */
export const streamIdLength = 16;
/** Bytes of a stream's key. */
export const streamKeyLength = 32;
/** Bytes of the longest name of a stream, in UTF-8. */
export const longestStreamName = 255;
/** Characters of the longest media type of a stream, printable ASCII. */
export const longestStreamType = 127;
/** Bytes of the longest text of a reason, in UTF-8. */
export const longestReasonText = 255;
/** Chunks that may be sent and not taken by the receiver's application, at most. */
export const largestStreamWindow = 128;
/** Routes of a stream at most. */
export const mostStreamRoutes = 4;

/** Why a stream ends or is refused, as it is told; other numbers may come from later versions. */
export const streamReasons = {
  /** All of it was received. */
  end: 0,
  /** The receiver does not want it. */
  refused: 1,
  /** As many are offered or open as may be. */
  tooMany: 2,
  /** Nobody has accepted it in time. */
  expired: 3,
  /** One side does not want to go on. */
  cancelled: 4,
  /** What is sent has changed since it was offered. */
  changed: 5,
  /** What is sent is not there any more, or cannot be read again from where it is to go on. */
  lost: 6,
  /** It is longer or shorter than it was said to be. */
  size: 7,
  /** The other side does not keep to the rules. */
  protocol: 8,
  /** What was received has not the SHA-256 that was said. */
  hash: 9,
  /** One side cannot go on: its disk is full, for instance. */
  failed: 10,
} as const;

/** What frames of streams say. */
export type StreamContent =
  | StreamOfferContent
  | StreamAcceptContent
  | StreamResumeContent
  | StreamRefuseContent
  | StreamRunContent
  | StreamCloseContent;

/** A stream that the sender of the frame would send. */
export interface StreamOfferContent {
  /** What tells the contents apart. */
  readonly kind: "stream offer";
  /** Random, 16 bytes. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** What keys of runs are made of, 32 random bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** At most 255 bytes in UTF-8; not to be trusted. */
  readonly name: string;
  /** A media type of at most 127 characters, printable ASCII; not to be trusted. */
  readonly mediaType: string;
  /** Bytes of it; `null`: not known. */
  readonly size: number | null;
  /** Of all of it, 32 bytes; `null`: not known. */
  readonly sha256: Uint8Array<ArrayBuffer> | null;
}

/** The receiver of a stream takes it. */
export interface StreamAcceptContent {
  /** What tells the contents apart. */
  readonly kind: "stream accept";
  /** See {@linkcode StreamOfferContent.streamId}. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** The first byte that is wanted. */
  readonly offset: number;
  /** Chunks that may be sent and not taken, 1 to 128. */
  readonly window: number;
  /** Where chunks are sent, 1 to 4. */
  readonly routes: readonly RouteRecord[];
}

/** The receiver wants the stream from a byte on; without routes the sender asks to be told so. */
export interface StreamResumeContent {
  /** What tells the contents apart. */
  readonly kind: "stream resume";
  /** See {@linkcode StreamOfferContent.streamId}. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** The first byte that is missing; of the sender's: 0. */
  readonly offset: number;
  /** Chunks that may be sent and not taken, 1 to 128; of the sender's: 0. */
  readonly window: number;
  /** Where chunks are sent from now on, 1 to 4; of the sender's: none. */
  readonly routes: readonly RouteRecord[];
}

/** The receiver does not take a stream. */
export interface StreamRefuseContent {
  /** What tells the contents apart. */
  readonly kind: "stream refuse";
  /** See {@linkcode StreamOfferContent.streamId}. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** One of {@linkcode streamReasons} but 0, or one to come. */
  readonly reason: number;
  /** For people, at most 255 bytes in UTF-8; not to be trusted. */
  readonly text: string;
}

/** The sender of a stream begins to send, with a key of its own. */
export interface StreamRunContent {
  /** What tells the contents apart. */
  readonly kind: "stream run";
  /** See {@linkcode StreamOfferContent.streamId}. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** Random, 16 bytes. */
  readonly run: Uint8Array<ArrayBuffer>;
  /** The byte of the stream with which it begins. */
  readonly offset: number;
  /** Bytes that a chunk has room for, 1 to 65 016. */
  readonly chunkSize: number;
}

/** A stream has ended: for the receiver, which has all of it; or, from either side, with a reason. */
export interface StreamCloseContent {
  /** What tells the contents apart. */
  readonly kind: "stream close";
  /** See {@linkcode StreamOfferContent.streamId}. */
  readonly streamId: Uint8Array<ArrayBuffer>;
  /** Whether it is a stream that the sender of this frame sends, or one that it receives. */
  readonly from: "sender" | "receiver";
  /** One of {@linkcode streamReasons}, or one to come. */
  readonly reason: number;
  /** Bytes of the stream that were sent, or received. */
  readonly total: number;
  /** For people, at most 255 bytes in UTF-8; not to be trusted. */
  readonly text: string;
}
