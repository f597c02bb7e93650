import { assert, assertEquals } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import { MemoryStore, type MessageRecord } from "../../../agent/mod.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import { encodeFrame, messageHash, ratchetEncrypt, textBytes } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../store/samples.ts";

interface Message {
  readonly number: number;
  readonly userNumber: number;
  readonly text: string;
}

/**
 * What becomes of messages that come together when 1 to 1000 are there but 2, and what comes after 1000 may be a copy: their
 * bodies and the numbers by which they are acknowledged.
 */
async function stored(...messages: readonly Message[]): Promise<[string, number][]> {
  const { joiner, initiator } = await newSessions();
  const route = inboundRoute("one");
  const state = { reply: true, receiving: "active", sending: "active", connected: true } as const;
  const connection = withSession(
    { ...connectionIn({ role: "initiator", ...state }), session: newSession({}), inbound: [route] },
    {
      status: "active",
      ratchet: initiator.state,
      stored: { upTo: 1, ranges: [[3, 1000]] },
      copies: 1000,
    },
  );
  let ratchet = joiner.state, previousHash = new Uint8Array(32);
  const incoming = [];
  for (const { number, userNumber, text } of messages) {
    const frame = {
      kind: "message",
      time: 1,
      number,
      userNumber,
      previousHash,
      body: textBytes(text),
    } as const;
    previousHash = await messageHash(frame);
    const made = await ratchetEncrypt(ratchet, encodeFrame(frame));
    assert(made.ok);
    ratchet = made.state;
    const packet = { type: "message", message: made.message } as const;
    incoming.push({ serverId: "AAAA", serverAt: 5000, packet });
  }
  const context = { store: new MemoryStore(), allowUnverified: true };
  const opened = await openPackets(context, connection, { route: route.id, incoming, now: 6000 });
  const { changes } = step(connection, { type: "packets", route: route.id, opened }, {
    now: 6000,
    announced: [],
    discardUntil: 0,
  });
  const records = new Map<number, MessageRecord>();
  for (const change of changes) {
    if (change.type === "put message") records.set(change.message.id, change.message);
  }
  return [...records.values()].map((
    { body, received },
  ) => [new TextDecoder().decode(body), received!.senderId]);
}

Deno.test("what a restored side sends again comes once also behind what it had not sent yet, and with that", async () => {
  const messages = await stored(
    { number: 2, userNumber: 1, text: "kept" },
    { number: 1001, userNumber: 2, text: "kept" },
    { number: 1002, userNumber: 3, text: "other" },
    { number: 1003, userNumber: 4, text: "other" },
  );
  // The first one is acknowledged by the number that its sender has given it last.
  assertEquals(messages, [["kept", 2], ["other", 3], ["other", 4]]);
});
