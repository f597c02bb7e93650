import {
  asciiText,
  encodePublicKeyText,
  isKeySize,
  parsePublicKeyText,
  type PublicKey,
} from "../../protocol/mod.ts";
import { isDuplexJoiner, withReceiving, withRecord, withSending } from "../core/connection.ts";
import { decodeExtensions } from "../protocol/extensions.ts";
import { otherGreeted } from "../session/greeting.ts";
import type { Head, Kind } from "./kind.ts";
import { settle } from "./settle.ts";

/** The key that the sender signs its messages with. */
export interface HelloMessage extends Head {
  readonly type: "HELLO";
  readonly verificationKey: PublicKey;
  readonly noAck: boolean;
}

/** HELLO (agent.md Agent-to-agent messages). */
export const hello: Kind<HelloMessage> = {
  hasHead: true,
  isSigned: true,
  isEssential: true,
  encode: ({ verificationKey, noAck }) => [
    `HELLO ${encodePublicKeyText(verificationKey)}${noAck ? " NO_ACK" : ""}`,
  ],
  parse(content) {
    const match = /^HELLO (rsa:\S*)( NO_ACK)?\n$/.exec(asciiText(content));
    if (match === null) return null;
    const verificationKey = parsePublicKeyText(match[1]!);
    // The signatures of others would not be found in front of a body.
    if (!isKeySize(verificationKey.bits)) return null;
    return { type: "HELLO", verificationKey, noAck: match[2] !== undefined };
  },
  receive({ connection, route, received: { message, hash, serverId } }) {
    if (route.status !== "secured") return null;
    const { role, connected } = connection.record;
    const keys = { ...route.keys, verificationKey: message.verificationKey.der };
    const active = { ...route, status: "active", keys } as const;
    const greeted = otherGreeted(
      withRecord(withReceiving(connection, active), {
        // A joiner knows now that the other side can send too.
        connected: connected || role === "joiner",
        extensions: decodeExtensions(message.previousHash),
      }),
      active,
      message.previousHash,
    );
    return settle({ connection, route: active }, serverId, { ...greeted, hash });
  },
  sent(connection, route) {
    if (route.status !== "confirmed") return connection;
    const active = withSending(connection, { ...route, status: "active" });
    // A joiner of two directions waits for the other side's HELLO.
    return isDuplexJoiner(connection) ? active : withRecord(active, { connected: true });
  },
  // The recipient has not secured the queue yet.
  refused: (code) => code === "AUTH" ? "retry" : "failed",
};
