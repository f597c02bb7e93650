import { publicKeyOf } from "../../protocol/mod.ts";
import { withRecord, withSending } from "../core/connection.ts";
import type { Command, StepContext } from "../core/types.ts";
import { encodeExtensions } from "../protocol/extensions.ts";
import { selfGreeted } from "../session/greeting.ts";
import { announcedIn } from "../session/session.ts";
import type { Connection, SendingRoute, StoreChange } from "../store/store.ts";
import { encodeFrame } from "./frame.ts";
import { hello } from "./hello.ts";
import { key } from "./key.ts";

/** A connection with a new sending route, and what is sent on it first: KEY and HELLO, for `withReply` also REPLY. */
export function greet(
  connection: Connection,
  route: SendingRoute,
  { now, giveUpAt, withReply, ...context }: Pick<StepContext, "now" | "announced"> & {
    /** When KEY and HELLO are no longer tried, milliseconds since 1970; `null`: never. */
    readonly giveUpAt: number | null;
    readonly withReply: boolean;
  },
): { readonly connection: Connection; readonly changes: StoreChange[]; readonly commands: Command[] } {
  const { id, lastPosition } = connection.record;
  const announced = announcedIn(connection, context.announced);
  const { senderKey, signingKey } = route.keys;
  const verificationKey = publicKeyOf(signingKey);
  const head = { id: 0, timestamp: new Date(now), previousHash: encodeExtensions(announced) };
  const plaintexts = [
    ["KEY", encodeFrame(key, { type: "KEY", senderKey: publicKeyOf(senderKey) }), giveUpAt],
    ["HELLO", encodeFrame(hello, { type: "HELLO", verificationKey, noAck: false, ...head }), giveUpAt],
    // Its queue is made when its turn comes.
    ...(withReply ? [["REPLY", new Uint8Array(0), null] as const] : []),
  ] as const;
  const changes = plaintexts.flatMap(([kind, plaintext, giveUpAt], i): StoreChange[] => {
    const position = lastPosition + 1 + i;
    const entry = { connection: id, position, kind, messageId: 0, plaintext, createdAt: now };
    const delivery = { connection: id, route: route.id, position, attempted: false, giveUpAt };
    return [{ type: "put outbox", entry }, { type: "put delivery", delivery }];
  });
  return {
    connection: withRecord(selfGreeted(withSending(connection, route), route, announced), {
      lastPosition: lastPosition + plaintexts.length,
    }),
    changes,
    commands: [{ type: "deliver", route: route.id }],
  };
}
