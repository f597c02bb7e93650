/** What comes in a session (sessions.md Content frames). */
import {
  type Frame,
  frameKinds,
  type NumberSet,
  type RatchetState,
  type Reassembly,
} from "../../protocol/mod.ts";
import { withInbound, withRecord } from "../core/connection.ts";
import { type Command, type FrameDraft, type Step, type StepContext, stepTo } from "../core/types.ts";
import type { AgentError } from "../protocol/error.ts";
import type {
  Connection,
  Fork,
  FrameRecord,
  MessageRecord,
  OutboundRoute,
  StoreChange,
  StoredEvent,
  UndeliveredMessage,
} from "../store/store.ts";
import { receiveClose } from "./close.ts";
import { receiveMessage } from "./message.ts";
import { receiveReady } from "./ready.ts";
import { receiveReceipt } from "./receipt.ts";
import { receiveRouteAdd, receiveRouteEnd, receiveRouteOk, receiveRouteRefused } from "./routes.ts";
import { isSending, mostUndecrypted, withSession, withSessionKeys } from "./session.ts";
import { receiveStreamFrame } from "../stream/step.ts";

/** A frame whose turn it is, and the packet that brought it. */
export interface ArrivedFrame<Content extends Frame = Frame> {
  readonly frame: Content;
  /** The server's ID of the packet, base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  /** Of a message: {@linkcode messageHash}; empty for others. */
  readonly hash: Uint8Array<ArrayBuffer>;
  /** Of a receipt: the messages that it says to be acknowledged, and up to where that was looked up. */
  readonly delivered: Delivered | null;
  /** Of a receipt: frames that the other side has and of which no route was known to have taken them. */
  readonly taken: readonly Pick<FrameRecord, "number" | "messageId">[];
  /**
   * Of a message: one that has come already with another number, before the other side was restored; of one in these
   * packets its reliable number.
   */
  readonly copy?: MessageRecord | number | null;
  /** Of `route add`: the route, or why it cannot be used; `null` for others, and for a route that is known. */
  readonly outbound: OutboundRoute | AgentError | "too many" | null;
}

/** A frame that has arrived, beside the copy that it is of. */
export type ReceivedFrame<Content extends Frame = Frame> = ArrivedFrame<Content> & {
  readonly copy: MessageRecord | null;
};

/** Messages that the other side's application has acknowledged. */
export interface Delivered {
  readonly messages: readonly UndeliveredMessage[];
  /** With those before. */
  readonly numbers: NumberSet;
}

/** What was in packets of one route. */
export interface OpenedPackets {
  /** After all of them. */
  readonly ratchet: RatchetState | null;
  /** The frames whose turn it is, in their order. */
  readonly frames: readonly ArrivedFrame[];
  /** With the reliable numbers of these, and of those that are held. */
  readonly stored: NumberSet;
  /** What is stored of the other ones, and of pieces. */
  readonly changes: readonly StoreChange[];
  /** What there is of messages of which pieces are missing; `undefined`: nothing was read of it. */
  readonly reassembly: Reassembly | undefined;
  /** See {@linkcode Connection.heard}. */
  readonly heard: readonly string[];
  /** Whether something was there already: the other side does not know. */
  readonly isRepeated: boolean;
  /** How many packets could not be read. */
  readonly unreadable: number;
  /** How many messages could not be decrypted since the last one that could. */
  readonly undecrypted: number;
  /** The server's ID of the last packet, base64. */
  readonly lastServerId: string;
  /** See {@linkcode Connection.decrypted}. */
  readonly decrypted?: readonly string[];
  /** Whether the other side has made another message of a key that it had used: it was restored. */
  readonly isOther?: boolean;
  /** Whether a receipt tells of what this side has not sent, as far as it knows: its database is a restored one. */
  readonly isAhead?: boolean;
  /** What is left of it, if there was one: see {@linkcode Session.fork}. */
  readonly fork?: Fork | null;
  /** Whether a receipt tells of what was sent since a start in doubt: it is to be asked for again. */
  readonly isDoubted?: boolean;
  /** Whether a receipt tells of other frames than this side's with the same numbers. */
  readonly isStrayed?: boolean;
  /** See {@linkcode Session.storedDigest}. */
  readonly storedDigest?: Uint8Array<ArrayBuffer>;
  /** See {@linkcode Session.receiptedDigest}; `null`: what is believed cannot be compared. */
  readonly receiptedDigest?: Uint8Array<ArrayBuffer> | null;
  /** Whether the other side has told a digest, which it was not known to do. */
  readonly tellsDigests?: boolean;
  /** See {@linkcode Session.tags}. */
  readonly tags?: Uint8Array<ArrayBuffer>;
  /** See {@linkcode Session.heardAt}. */
  readonly heardAt?: number;
  /** See {@linkcode Session.copies}. */
  readonly copies?: number | null;
  /** See {@linkcode Connection.copyIndex}. */
  readonly copyIndex?: ReadonlyMap<number, readonly number[]>;
  /** Contents of packets that are to repair the session. */
  readonly repairs?: readonly Uint8Array<ArrayBuffer>[];
}

/** What one frame makes of a connection; `null`: nothing. */
export type FrameHandler<Kind extends Frame["kind"]> = (
  connection: Connection,
  arrived: ReceivedFrame<Frame & { readonly kind: Kind }>,
  context: StepContext,
) => Partial<Step> | null;

/** Applies what was in packets of a route. */
export function packets(
  connection: Connection,
  { route: id, opened }: { readonly route: string; readonly opened: OpenedPackets },
  context: StepContext,
): Step {
  const route = connection.inbound.find((route) => route.id === id);
  if (route === undefined || connection.session === null) return stepTo(connection);
  const { ratchet, stored, frames: arrived, reassembly, heard, isRepeated, unreadable, lastServerId } =
    opened;
  const isReceiptDue = isRepeated || opened.isDoubted || stored !== connection.session.stored;
  let changed = withSession(withInbound(connection, { ...route, lastServerId }), { ratchet, stored });
  if (heard.length > 0) changed = { ...changed, heard };
  const { copies = null } = opened;
  if (copies !== (connection.session.copies ?? null)) changed = withSession(changed, { copies });
  if (opened.copyIndex !== connection.copyIndex) {
    const { copyIndex: _, ...rest } = changed;
    changed = opened.copyIndex ? { ...changed, copyIndex: opened.copyIndex } : rest;
  }
  const { heardAt = 0 } = opened;
  if (heardAt > (connection.session.heardAt ?? 0)) changed = withSession(changed, { heardAt });
  const { fork, tags } = opened;
  if (fork !== undefined && fork !== connection.session.fork) changed = withSession(changed, { fork });
  if (tags !== undefined) changed = withSession(changed, { tags });
  changed = withDigests(changed, opened);
  if (opened.isOther && !connection.session.parted) changed = withSession(changed, { parted: true });
  if (opened.decrypted !== undefined) changed = { ...changed, decrypted: opened.decrypted };
  if (reassembly !== undefined) changed = { ...changed, reassembly };
  const { undecrypted } = opened;
  const isOutOfStep = undecrypted >= mostUndecrypted && connection.session.undecrypted < mostUndecrypted;
  if (undecrypted !== connection.session.undecrypted) changed = withSession(changed, { undecrypted });
  if (isReceiptDue) changed = withSession(changed, { receiptDue: true });
  if (unreadable > 0) changed = withRecord(changed, { unreadable: changed.record.unreadable + unreadable });
  const { session } = connection;
  const made = applyFrames(changed, arrived, context);
  changed = made.connection;
  const changes = [...opened.changes, ...made.changes],
    events = [...made.events],
    commands = [...made.commands];
  if (isOutOfStep) events.unshift({ type: "security", reason: "session out of step" });
  if (isReceiptDue) commands.push({ type: "tell receipt" });
  if (session.status === "active" && isSending(ratchet) && !isSending(session.ratchet)) {
    commands.push({ type: "encrypt" });
  }
  // What the other side says to that goes on before anything is begun anew.
  for (const content of opened.repairs ?? []) commands.push({ type: "hear repair", content });
  if (opened.isAhead || opened.isOther || opened.isStrayed || undecrypted > 0) {
    commands.push({ type: "repair" });
  }
  const isDropped = changed.inbound.every((route) => route.id !== id);
  // No store takes a piece of a route that is not there.
  const left = isDropped ? changes.filter(({ type }) => type !== "put piece") : changes;
  return stepTo(changed, { frames: made.frames, changes: left, events, commands });
}

/** What packets tell of digests. */
function withDigests(connection: Connection, opened: OpenedPackets): Connection {
  const { keys: { kinds } } = connection.session!;
  const { storedDigest, receiptedDigest } = opened;
  const known = opened.tellsDigests && kinds !== null && !kinds.includes(frameKinds.digest)
    ? withSessionKeys(connection, { kinds: [...kinds, frameKinds.digest] })
    : connection;
  return withSession(known, {
    ...storedDigest && { storedDigest },
    ...receiptedDigest !== undefined && { receiptedDigest },
    ...opened.isStrayed && { strayed: true },
  });
}

/** Applies frames in their order. */
export function applyFrames(
  connection: Connection,
  arrived: readonly ArrivedFrame[],
  context: StepContext,
): Step {
  const frames: FrameDraft[] = [], changes: StoreChange[] = [];
  const events: StoredEvent[] = [], commands: Command[] = [];
  /** By their reliable numbers. */
  const messages = new Map<number, MessageRecord>();
  let changed = connection;
  for (const one of arrived) {
    const copy = typeof one.copy === "number" ? messages.get(one.copy) ?? null : one.copy ?? null;
    const made = receive(changed, { ...one, copy }, context);
    for (const change of made?.changes ?? []) {
      if (change.type === "put message") messages.set(one.frame.number, change.message);
    }
    changed = made?.connection ?? changed;
    frames.push(...made?.frames ?? []);
    changes.push(...made?.changes ?? []);
    events.push(...made?.events ?? []);
    commands.push(...made?.commands ?? []);
  }
  return stepTo(changed, { frames, changes, events, commands });
}

function receive(connection: Connection, arrived: ReceivedFrame, context: StepContext): Partial<Step> | null {
  const { frame } = arrived;
  switch (frame.kind) {
    case "message":
      return receiveMessage(connection, { ...arrived, frame }, context);
    case "receipt":
      return receiveReceipt(connection, { ...arrived, frame }, context);
    case "ready":
      return receiveReady(connection, { ...arrived, frame }, context);
    case "route add":
      return receiveRouteAdd(connection, { ...arrived, frame }, context);
    case "route ok":
      return receiveRouteOk(connection, { ...arrived, frame }, context);
    case "route refused":
      return receiveRouteRefused(connection, { ...arrived, frame }, context);
    case "route end":
      return receiveRouteEnd(connection, { ...arrived, frame }, context);
    case "close":
      return receiveClose(connection, { ...arrived, frame }, context);
    case "stream offer":
    case "stream accept":
    case "stream refuse":
    case "stream run":
    case "stream close":
    case "stream resume":
      return receiveStreamFrame(connection, { ...arrived, frame }, context);
    // It belongs to the receipt before it.
    case "digest":
    // Of kinds that are not announced, and of kinds to come.
    case "skip":
    case "last":
    case "unknown":
      return null;
    default:
      return frame satisfies never;
  }
}
