/** What a session sends, encrypted in its turn (sessions.md Session cryptography). */
import {
  encodeFrame,
  encodeFrames,
  type Frame,
  messageHash,
  ratchetEncrypt,
  type RatchetState,
} from "../../protocol/mod.ts";
import type { FrameDraft } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import { previousHashOf } from "../session/message.ts";
import { toldDigest } from "../session/digest.ts";
import { receiptOf } from "../session/receipt.ts";
import { isAheadOfFrames, isInDoubt } from "../session/fork.ts";
import { readyFrame } from "../session/ready.ts";
import { isBeingRepaired } from "../session/repair_state.ts";
import { canEncrypt, isSending, mostUnreceipted, readyNumber, withSession } from "../session/session.ts";
import type { AgentStore, Connection, FrameRecord, Session } from "../store/store.ts";

/** Frames that are read, encrypted or sent at a time, unless they have more bytes than that before. */
const batchFrames = 64;
const batchBytes = 1024 * 1024;

/** Frames that are read from the store at a time: each can have more than a MiB. */
const readFrames = 16;

/** A connection with frames given numbers and, where that may be, encrypted. */
export interface SealedFrames {
  readonly connection: Connection;
  readonly frames: readonly FrameRecord[];
}

/** Gives frames their numbers, and encrypts those that need not wait. */
export async function sealFrames(
  connection: Connection,
  drafts: readonly FrameDraft[],
): Promise<SealedFrames> {
  const frames: FrameRecord[] = [];
  let changed = connection;
  for (const { content, time, messageId } of drafts) {
    const session = changed.session!;
    const number = content.kind === "ready" ? readyNumber : session.lastNumber + 1;
    const frame = encodeFrame({ ...content, number, time });
    const numbered = { ...session, lastNumber: Math.max(session.lastNumber, number) };
    const isNext = session.lastEncrypted === number - 1 && canEncrypt(numbered);
    const sealed = isNext ? await encrypt(numbered.ratchet!, frame) : null;
    changed = withSession(changed, {
      lastNumber: numbered.lastNumber,
      ...sealed && { ratchet: sealed.ratchet, lastEncrypted: number },
    });
    const message = sealed?.message ?? new Uint8Array(0);
    frames.push({ connection: connection.record.id, number, messageId, frame, message, createdAt: time });
  }
  return { connection: changed, frames };
}

/** The next frames after a number, as many as are handled at a time. */
export async function nextFrames(
  store: AgentStore,
  connection: string,
  { after, most = batchFrames }: { readonly after: number; readonly most?: number },
): Promise<FrameRecord[]> {
  const frames: FrameRecord[] = [];
  const count = Math.min(most, batchFrames);
  for (let bytes = 0; frames.length < count && bytes < batchBytes;) {
    const limit = Math.min(readFrames, count - frames.length);
    const read = await store.frames(connection, frames.at(-1)?.number ?? after, limit);
    frames.push(...read);
    if (read.length < limit) break;
    bytes += read.reduce((sum, { frame, message }) => sum + frame.length + message.length, 0);
  }
  return frames;
}

/** Encrypts the next frames that wait, as many as may be at a time. */
export async function encryptWaiting(
  store: AgentStore,
  { record: { id }, session }: Connection,
): Promise<{ readonly ratchet: RatchetState; readonly frames: readonly FrameRecord[] } | null> {
  if (session === null || !canEncrypt(session)) return null;
  const room = session.receipted.upTo + mostUnreceipted - session.lastEncrypted;
  const waiting = await nextFrames(store, id, { after: session.lastEncrypted, most: room });
  let ratchet = session.ratchet!;
  const frames: FrameRecord[] = [];
  for (const record of waiting) {
    const sealed = await encrypt(ratchet, record.frame);
    ratchet = sealed.ratchet;
    frames.push({ ...record, message: sealed.message });
  }
  return { ratchet, frames };
}

/** A receipt by itself. */
export interface EncryptedReceipt {
  /** After it. */
  readonly ratchet: RatchetState;
  readonly message: Uint8Array<ArrayBuffer>;
  /** The session of which it tells. */
  readonly told: Session;
}

/** Encrypts a receipt by itself; `null` when none is due, or there can be none yet. */
export async function encryptReceipt({ session }: Connection, now: number): Promise<EncryptedReceipt | null> {
  if (session === null || session.status !== "active" || !session.receiptDue) return null;
  if (!isSending(session.ratchet) || isBeingRepaired(session, now) || isAheadOfFrames(session)) return null;
  const frames: Frame[] = [{ kind: "receipt", ...receiptOf(session), number: 0, time: now }];
  const digest = toldDigest(session);
  if (digest !== null) frames.push({ kind: "digest", digest, number: 0, time: now });
  // What has come before is answered by a receipt, in a chain that answers this side's last one.
  if (isInDoubt(session)) frames.push({ ...readyFrame(now).content, number: readyNumber, time: now });
  return { ...await encrypt(session.ratchet!, encodeFrames(frames)), told: session };
}

/** The hash of the connection's next message. */
export function nextMessageHash(
  connection: Connection,
  { body, time }: { readonly body: Uint8Array<ArrayBuffer>; readonly time: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const userNumber = connection.record.lastSent.id + 1;
  return messageHash({ userNumber, previousHash: previousHashOf(connection), time, body });
}

async function encrypt(
  state: RatchetState,
  plaintext: Uint8Array<ArrayBuffer>,
): Promise<{ readonly ratchet: RatchetState; readonly message: Uint8Array<ArrayBuffer> }> {
  const made = await ratchetEncrypt(state, plaintext);
  if (made.ok) return { ratchet: made.state, message: made.message };
  throw new AgentError("INTERNAL", `Cannot encrypt a message: ${made.code}`);
}
