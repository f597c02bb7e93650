/** What both sides say before a session, and whether they agree on one (sessions.md The upgrade of a connection). */
import {
  asciiText,
  decodePublicKey,
  encodePublicKeyText,
  formatQueueInfo,
  publicKeyOf,
  type QueueInfo,
} from "../../protocol/mod.ts";
import type { Command } from "../core/types.ts";
import { decodeExtensions, encodeExtensions } from "../protocol/extensions.ts";
import type { Connection, ReceivingRoute, SendingRoute } from "../store/store.ts";
import { sessionExtension, withSession, withTranscript } from "./session.ts";

/** Bits of the encryption keys to which both UPGs fit. */
const keyBits = 2048;

/** What a connection becomes, and what is done then. */
export interface Greeted {
  readonly connection: Connection;
  readonly commands: readonly Command[];
}

/** This side says KEY and HELLO on a new route. */
export function selfGreeted(
  connection: Connection,
  { keys: { server, senderId, encryptionKey, senderKey, signingKey } }: SendingRoute,
  announced: readonly string[],
): Connection {
  if (!announced.includes(sessionExtension)) return { ...connection, session: null };
  const [key, helloKey] = [textOfPrivate(senderKey), textOfPrivate(signingKey)];
  const extensions = asciiText(encodeExtensions(announced));
  if (connection.record.role === "initiator") {
    return withTranscript(connection, {
      initiatorKey: key,
      initiatorHelloKey: helloKey,
      initiatorHelloExtensions: extensions,
    });
  }
  const invitation = { server, senderId, encryptionKey: decodePublicKey(encryptionKey) };
  return withTranscript(connection, {
    invitation: formatQueueInfo(invitation),
    acceptedKey: key,
    joinerHelloKey: helloKey,
    joinerHelloExtensions: extensions,
  });
}

/** The other side has said HELLO on a route, with `extensions` as they came. */
export function otherGreeted(
  connection: Connection,
  { keys: { senderKey, verificationKey } }: ReceivingRoute,
  extensions: Uint8Array,
): Greeted {
  const text = asciiText(extensions);
  const isAnnounced = decodeExtensions(extensions).includes(sessionExtension);
  const key = textOf(senderKey!), helloKey = textOf(verificationKey!);
  if (connection.session === null) return { connection, commands: [] };
  if (connection.record.role === "initiator") {
    if (!isAnnounced) return { connection: { ...connection, session: null }, commands: [] };
    const said = { acceptedKey: key, joinerHelloKey: helloKey, joinerHelloExtensions: text };
    return { connection: withTranscript(connection, said), commands: [] };
  }
  const heard = withTranscript(connection, {
    initiatorKey: key,
    initiatorHelloKey: helloKey,
    initiatorHelloExtensions: text,
  });
  if (isAnnounced && doFit(connection)) {
    return { connection: withSession(heard, { status: "agreed" }), commands: [{ type: "offer" }] };
  }
  return { connection: heard, commands: [{ type: "fall back" }] };
}

/** The initiator knows the joiner's queue, and with what extensions REPLY came. */
export function otherReplied(
  connection: Connection,
  invitation: QueueInfo,
  { queue, extensions }: { readonly queue: QueueInfo; readonly extensions: Uint8Array },
): Connection {
  if (!decodeExtensions(extensions).includes(sessionExtension) || !doFit(connection)) {
    return { ...connection, session: null };
  }
  const said = {
    invitation: formatQueueInfo(invitation),
    replyQueue: formatQueueInfo(queue),
    replyExtensions: asciiText(extensions),
  };
  return withSession(withTranscript(connection, said), { status: "agreed" });
}

/** Whether both UPGs fit into bodies: both sides know both keys and find the same. */
function doFit({ receiving, sending }: Connection): boolean {
  const bits = [
    ...receiving.map(({ keys }) => publicKeyOf(keys.decryptionKey).bits),
    ...sending.map(({ keys }) => decodePublicKey(keys.encryptionKey).bits),
  ];
  return bits.every((count) => count === keyBits);
}

function textOf(key: Uint8Array<ArrayBuffer>): string {
  return encodePublicKeyText(decodePublicKey(key));
}

function textOfPrivate(key: Uint8Array<ArrayBuffer>): string {
  return encodePublicKeyText(publicKeyOf(key));
}
