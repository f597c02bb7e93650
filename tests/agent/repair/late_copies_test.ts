import { assert, assertEquals } from "@std/assert";
import { withRecord } from "../../../agent/core/connection.ts";
import { step } from "../../../agent/core/step.ts";
import { changesBetween } from "../../../agent/core/changes.ts";
import { type Connection, MemoryStore, type MessageRecord, type StoreChange } from "../../../agent/mod.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { receiveMessage } from "../../../agent/session/message.ts";
import { mostScattered } from "../../../agent/session/receipt.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import { encodeFrame, messageHash, ratchetEncrypt, textBytes } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { fullSession, inboundRoute, messageRecord, sessionConnection } from "../store/samples.ts";

interface Message {
  readonly number: number;
  readonly userNumber: number;
  readonly text: string;
}

/** How often messages were read, at most 100 at a time. */
class CountingStore extends MemoryStore {
  reads = 0;

  override messages(...args: Parameters<MemoryStore["messages"]>): ReturnType<MemoryStore["messages"]> {
    this.reads++;
    return super.messages(...args);
  }
}

/** The number of the first message that comes: more are stored never. */
const firstId = 1001;

interface Before {
  readonly text: string;
  readonly isDone: boolean;
  /** @default its place */
  readonly userNumber?: number;
}

/**
 * What becomes of messages that come together when 1 to 1000 are there but 2, and what comes after 1000 may be a copy.
 * `before`: user messages that are stored.
 */
async function open(messages: readonly Message[], before: readonly Before[] = []) {
  const { joiner, initiator } = await newSessions();
  const route = inboundRoute("one");
  const state = { reply: true, receiving: "active", sending: "active", connected: true } as const;
  const connection = withSession(
    withRecord(
      { ...connectionIn({ role: "initiator", ...state }), session: newSession({}), inbound: [route] },
      { lastMessageId: firstId - 1 },
    ),
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
  const store = new CountingStore();
  const { id } = connection.record;
  await store.commit([
    ...changesBetween(null, connection),
    ...before.map(({ text, isDone, userNumber }, at): StoreChange => {
      const message = messageRecord(id, at + 1);
      const received = { ...message.received!, senderId: userNumber ?? at + 1, senderAt: 1 };
      return {
        type: "put message",
        message: {
          ...message,
          body: textBytes(text),
          done: isDone,
          received,
          number: null,
          delivered: false,
        },
      };
    }),
  ]);
  const context = { store, allowUnverified: true };
  const opened = await openPackets(context, connection, { route: route.id, incoming, now: 6000 });
  const { connection: { session }, changes } = step(
    connection,
    { type: "packets", route: route.id, opened },
    {
      now: 6000,
      announced: [],
      discardUntil: 0,
    },
  );
  const records = new Map<number, MessageRecord>();
  for (const change of changes) {
    if (change.type === "put message") records.set(change.message.id, change.message);
  }
  const { reads } = store;
  return { records: [...records.values()], acknowledged: session!.acknowledged, reads };
}

/** Their bodies and the numbers by which they are acknowledged. */
async function stored(...messages: readonly Message[]): Promise<[string, number][]> {
  const { records } = await open(messages);
  return records.map(({ body, received }) => [new TextDecoder().decode(body), received!.senderId]);
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

/** What is sent again, behind what was missing. */
const again = (before: number, ...texts: readonly string[]) => [
  { number: 2, userNumber: before + 1, text: "missing" },
  ...texts.map((text, at) => ({ number: 1001 + at, userNumber: before + 2 + at, text })),
];

/** Which messages are stored, with the numbers by which they are acknowledged. */
const numbersOf = ({ records }: Awaited<ReturnType<typeof open>>) =>
  records.map(({ id, received }) => `${id} is ${received!.senderId}`).sort();

Deno.test("of messages that were sent at the same time and say the same each has a copy of its own, acknowledged or not", async () => {
  const sent = again(2, "same", "same");
  for (const isDone of [false, true]) {
    const came = await open(sent, [1, 2].map(() => ({ text: "same", isDone })));
    assertEquals(numbersOf(came), ["1 is 4", `${firstId} is 3`, "2 is 5"]);
    assertEquals(came.acknowledged.ranges, isDone ? [[4, 5]] : []);
    // The copy of the first one has come before.
    const one = { text: "same", isDone };
    const late = await open(again(4, "same"), [{ ...one, userNumber: 4 }, { ...one, userNumber: 2 }]);
    assertEquals(numbersOf(late), [`${firstId} is 5`, "2 is 6"]);
  }
});

Deno.test("however many copies come together, what is stored is looked through once", async () => {
  const texts = Array.from({ length: 150 }, (_, at) => `${at}`);
  const { records, reads } = await open(again(150, ...texts), texts.map((text) => ({ text, isDone: true })));
  assertEquals(records.length, 151);
  assertEquals(reads, 2);
});

/** What becomes of a connection by a copy with a number. */
function copied(connection: Connection, userNumber: number): Connection {
  const copy = { ...messageRecord("s", 1), done: true };
  const content = { kind: "message", previousHash: new Uint8Array(32), body: copy.body } as const;
  const frame = { ...content, number: 1001, userNumber, time: 8 };
  const none = {
    serverId: "",
    serverAt: 0,
    hash: new Uint8Array(32),
    delivered: null,
    taken: [],
    outbound: null,
  };
  const context = { now: 0, announced: [], discardUntil: 0 };
  return receiveMessage(connection, { ...none, frame, copy }, context)!.connection!;
}

Deno.test("a peer cannot have more numbers remembered by copies than by messages", () => {
  const ranges = Array.from({ length: mostScattered }, (_, at): [number, number] => [3 * at + 2, 3 * at + 2]);
  const session = { ...fullSession(), acknowledged: { upTo: 0, ranges } };
  const changed = copied({ ...sessionConnection("s"), session }, 4 * mostScattered);
  assertEquals(changed.session!.acknowledged.ranges.length, mostScattered);
});

Deno.test("a copy with a lower number does not make messages that follow look whole", () => {
  const lastReceived = { id: 15, hash: new Uint8Array(32) };
  const changed = copied(withRecord(sessionConnection("s"), { lastReceived }), 14);
  assertEquals(changed.record.lastReceived, lastReceived);
});
