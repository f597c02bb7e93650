/** What frames say (sessions.md Content frames). */
import type { Receipt } from "./receipt.ts";
import type { StreamContent } from "../stream/content.ts";
import type { RouteRecord } from "./route_record.ts";

/** Bytes of the longest body of a message: 1 MiB. */
export const largestBody: number = 1024 * 1024;
/** The kinds of frames that this library knows, with their numbers on the wire. */
export const frameKinds = {
  "message": 1,
  "receipt": 2,
  "route add": 3,
  "route ok": 4,
  "route refused": 5,
  "route end": 6,
  "skip": 7,
  "ready": 8,
  "last": 9,
  "close": 10,
  "stream offer": 11,
  "stream accept": 12,
  "stream refuse": 13,
  "stream run": 14,
  "stream close": 15,
  "stream resume": 16,
  "digest": 17,
} as const;

/** Why an agent does not take a route, as `route refused` says it; other numbers may come from later versions. */
export const routeRefusals = {
  /** The agent is set to use no such server. */
  serverNotAllowed: 1,
  /** The server cannot be reached. */
  unreachable: 2,
  /** There are as many routes as may be. */
  tooMany: 3,
  /** The record is not valid, or its key does not work. */
  invalid: 4,
} as const;

/** What a frame says. */
export type FrameContent =
  | MessageContent
  | ({ readonly kind: "receipt" } & Receipt)
  | RouteAddContent
  | { readonly kind: "route ok" | "route end"; readonly routeId: Uint8Array<ArrayBuffer> }
  | { readonly kind: "route refused"; readonly routeId: Uint8Array<ArrayBuffer>; readonly reason: number }
  /** The sender gave up the user messages `from` to `to`. */
  | { readonly kind: "skip"; readonly from: number; readonly to: number }
  /** The kinds of frames that the sender knows. */
  | { readonly kind: "ready"; readonly kinds: readonly number[] }
  /** The number of the sender's last user message before the session, 0 for none. */
  | { readonly kind: "last"; readonly userNumber: number }
  | { readonly kind: "close" }
  /** Of the frames that the receipt before it tells to be stored (`digest.ts`). */
  | { readonly kind: "digest"; readonly digest: Uint8Array<ArrayBuffer> }
  | StreamContent
  | UnknownContent;

/** A message of the application. */
export interface MessageContent {
  /** What tells the contents apart. */
  readonly kind: "message";
  /** The sender's number of it among its user messages, from 1. */
  readonly userNumber: number;
  /** {@linkcode messageHash} of the user message before it, 32 bytes; zeros for the first. */
  readonly previousHash: Uint8Array<ArrayBuffer>;
  /** At most 1 MiB. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A new route of the sender. */
export interface RouteAddContent {
  /** What tells the contents apart. */
  readonly kind: "route add";
  /** How to send there. */
  readonly route: RouteRecord;
  /** The ID of the route that it replaces, 8 bytes; `null` for none. */
  readonly replaces: Uint8Array<ArrayBuffer> | null;
  /** Whether the server of the route before is lost. */
  readonly lost: boolean;
}

/** A frame of a kind to come. */
export interface UnknownContent {
  /** What tells the contents apart. */
  readonly kind: "unknown";
  /** Its kind's number on the wire. */
  readonly kindNumber: number;
  /** As it came. */
  readonly content: Uint8Array<ArrayBuffer>;
}
