import { emptyDigest, type RatchetState, type SessionTranscript } from "../../protocol/mod.ts";
import type { Connection, Session, SessionKeys } from "../store/store.ts";
import { noNumbers } from "./number_set.ts";

/** What agents announce that upgrade their connections. */
export const sessionExtension = "session1";

/** The reliable number of `ready`, the first frame of each side: messages may wait before there is a session. */
export const readyNumber = 1;

/** Frames that a side encrypts at most before they are receipted: others wait. */
export const mostUnreceipted = 500;

/** Frames of a side that are not receipted: beyond it `send` is refused. */
export const mostFrames = 10_000;

/** Messages that the application has not acknowledged: what comes then stays at the servers. */
export const mostWaiting = 500;

/** Messages, one after the other, that cannot be decrypted before the application is told: one side may be a restored backup. */
export const mostUndecrypted = 3;

/** A session that this side has announced. */
export function newSession(transcript: Partial<SessionTranscript>): Session {
  const keys: SessionKeys = {
    transcript,
    pair: null,
    secret: null,
    safetyCode: null,
    repairKey: null,
    verified: false,
    since: null,
    kinds: null,
  };
  return {
    keys,
    status: "greeting",
    ratchet: null,
    lastNumber: readyNumber,
    lastEncrypted: 0,
    lastTaken: 0,
    receipted: noNumbers,
    delivered: noNumbers,
    stored: noNumbers,
    acknowledged: noNumbers,
    receiptDue: false,
    waiting: 0,
    undecrypted: 0,
    routes: null,
    storedDigest: emptyDigest(),
    receiptedDigest: emptyDigest(),
  };
}

/** What is announced in a connection: sessions only where this side can begin one. */
export function announcedIn({ session }: Connection, announced: readonly string[]): readonly string[] {
  return session === null ? announced.filter((name) => name !== sessionExtension) : announced;
}

/** A connection whose session is changed, if it has one. */
export function withSession(connection: Connection, change: Partial<Session>): Connection {
  return connection.session === null
    ? connection
    : { ...connection, session: { ...connection.session, ...change } };
}

/** A connection of whose session something is changed that is written seldom, if it has one. */
export function withSessionKeys(connection: Connection, change: Partial<SessionKeys>): Connection {
  return connection.session === null
    ? connection
    : withSession(connection, { keys: { ...connection.session.keys, ...change } });
}

/** A connection of which more was said before its session, if it has one. */
export function withTranscript(connection: Connection, said: Partial<SessionTranscript>): Connection {
  const transcript = connection.session?.keys.transcript;
  return transcript ? withSessionKeys(connection, { transcript: { ...transcript, ...said } }) : connection;
}

/** What was said before a session when all of it was. */
export function completeTranscript(said: Partial<SessionTranscript>): SessionTranscript | null {
  const {
    invitation,
    acceptedKey,
    joinerHelloKey,
    joinerHelloExtensions,
    replyQueue,
    replyExtensions,
    initiatorKey,
    initiatorHelloKey,
    initiatorHelloExtensions,
    joinerUpgrade,
    initiatorUpgrade,
  } = said;
  if (
    invitation === undefined || acceptedKey === undefined || joinerHelloKey === undefined ||
    joinerHelloExtensions === undefined || replyQueue === undefined || replyExtensions === undefined ||
    initiatorKey === undefined || initiatorHelloKey === undefined || initiatorHelloExtensions === undefined ||
    joinerUpgrade === undefined || initiatorUpgrade === undefined
  ) return null;
  return {
    invitation,
    acceptedKey,
    joinerHelloKey,
    joinerHelloExtensions,
    replyQueue,
    replyExtensions,
    initiatorKey,
    initiatorHelloKey,
    initiatorHelloExtensions,
    joinerUpgrade,
    initiatorUpgrade,
  };
}

/** Whether a ratchet can encrypt: an initiator's cannot before it has decrypted something. */
export function isSending(ratchet: RatchetState | null): boolean {
  return ratchet !== null && (ratchet.turn.side === "own" || ratchet.turn.sending !== null);
}

/** Whether frames can be encrypted now that were not. */
export function canEncrypt({ status, ratchet, lastNumber, lastEncrypted, receipted }: Session): boolean {
  return status === "active" && isSending(ratchet) && lastEncrypted < lastNumber &&
    lastEncrypted - receipted.upTo < mostUnreceipted;
}
