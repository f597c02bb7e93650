import {
  asciiText,
  encodePublicKeyText,
  equalBytes,
  isKeySize,
  parsePublicKeyText,
  type PublicKey,
} from "../../protocol/mod.ts";
import { withReceiving, withSending } from "../core/connection.ts";
import { type ConnectionEvent, type Step, stepTo } from "../core/types.ts";
import type { Connection, ReceivingRoute } from "../store/store.ts";
import type { Kind } from "./kind.ts";
import { settle } from "./settle.ts";

/** The confirmation: the sender's key, with which the recipient secures the queue. */
export interface KeyMessage {
  readonly type: "KEY";
  readonly senderKey: PublicKey;
}

/** KEY (agent.md Agent-to-agent messages). */
export const key: Kind<KeyMessage> = {
  hasHead: false,
  isSigned: false,
  isEssential: true,
  encode: ({ senderKey }) => [`KEY ${encodePublicKeyText(senderKey)}\n\n`],
  parse(content) {
    const match = /^KEY (rsa:[^\n]*)\n\n\n$/.exec(asciiText(content));
    if (match === null) return null;
    const senderKey = parsePublicKeyText(match[1]!);
    // Servers take no other.
    return isKeySize(senderKey.bits) ? { type: "KEY", senderKey } : null;
  },
  receive({ connection, route, received }) {
    if (route.status === "new") {
      return stepTo(connection, { commands: [{ type: "approve", route: route.id, received }] });
    }
    // One that is confirmed but not secured was interrupted: the same confirmation comes again.
    const { senderKey } = route.keys;
    if (route.status !== "confirmed" || !equalBytes(senderKey!, received.message.senderKey.der)) return null;
    return stepTo(connection, { commands: [{ type: "secure", route: route.id, received, isRetry: true }] });
  },
  sent: (connection, route) =>
    route.status === "new" ? withSending(connection, { ...route, status: "confirmed" }) : connection,
  // An answer that was lost looks like a queue that somebody else has secured.
  refused: (code, { attempted }) => code === "AUTH" && attempted ? "sent" : "failed",
};

/** The application has accepted a confirmation, or not; nothing when none is awaited. */
export function approved(
  connection: Connection,
  route: ReceivingRoute,
  { received, isApproved }: Extract<ConnectionEvent, { readonly type: "approved" }>,
): Step {
  if (route.status !== "new") return stepTo(connection);
  if (!isApproved) {
    return settle({ connection, route }, received.serverId, {
      events: [{ type: "security", reason: "confirmation not approved" }],
    });
  }
  const keys = { ...route.keys, senderKey: received.message.senderKey.der };
  return stepTo(withReceiving(connection, { ...route, status: "confirmed", keys }), {
    commands: [{ type: "secure", route: route.id, received, isRetry: false }],
  });
}

/**
 * The server has taken the sender's key, or has refused it: then another confirmation may come. Nothing when it was not
 * to be taken.
 */
export function secured(
  connection: Connection,
  route: ReceivingRoute,
  { received: { serverId, hash }, error }: Extract<ConnectionEvent, { readonly type: "secured" }>,
): Step {
  if (route.status !== "confirmed") return stepTo(connection);
  if (error === null) {
    return settle({ connection, route }, serverId, { route: { status: "secured" }, hash });
  }
  return settle({ connection, route }, serverId, {
    route: { status: "new", keys: { ...route.keys, senderKey: null } },
    events: [{ type: "error", code: error.code, message: error.message }],
  });
}
