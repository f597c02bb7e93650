import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { withRecord } from "../../../agent/core/connection.ts";
import { repairedEvent } from "../../../agent/runtime/repaired.ts";
import { repaired } from "../../../agent/session/repair.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import type { StoreChange } from "../../../agent/store/store.ts";
import { encodeFrame, messageHash, textBytes } from "../../../protocol/mod.ts";
import { newSides } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";

const permissions = "none";
const active = { reply: true, receiving: "none", sending: "none", connected: true } as const;
const time = 7, now = 9;
const upTo = (upTo: number) => ({ upTo, ranges: [] });

/** A side with two messages that a server has taken, and that have no receipt. */
async function scene() {
  const { initiator } = await newSides();
  const made = connectionIn({ role: "initiator", ...active });
  const store = new MemoryStore();
  const changes: StoreChange[] = [{ type: "put connection", record: made.record }];
  let last = { id: 0, hash: new Uint8Array(32) };
  for (const [i, text] of ["one", "two"].entries()) {
    const id = 10 + i, number = 2 + i, body = textBytes(text);
    const content = {
      ...{ kind: "message", number, time, userNumber: last.id + 1, previousHash: last.hash, body } as const,
    };
    const rest = { connection: made.record.id, messageId: id, createdAt: time, message: Uint8Array.of(1) };
    changes.push(
      { type: "put frame", frame: { ...rest, number, frame: encodeFrame(content) } },
      {
        type: "put message",
        message: {
          ...{ connection: made.record.id, id, body, at: time, done: true, received: null },
          ...{ number: content.userNumber, delivered: false },
        },
      },
    );
    last = { id: content.userNumber, hash: await messageHash(content) };
  }
  await store.commit(changes);
  const numbers = { lastNumber: 3, lastEncrypted: 3, lastTaken: 3, receipted: upTo(1), stored: upTo(1) };
  const connection = withSession({
    ...withRecord(made, { lastSent: last }),
    session: newSession({}),
  }, { status: "active", ratchet: initiator.state, ...numbers });
  return { store, connection };
}

/** A repair in which what has no receipt gets new numbers, after the last message that the other side has. */
async function repair({ store, connection }: Awaited<ReturnType<typeof scene>>, lastOfOther: number) {
  const account = { stored: upTo(1), greatest: 1, last: { id: lastOfOther, hash: new Uint8Array(32) } };
  const event = await repairedEvent({ store, now: () => now, allowUnverified: true }, connection, {
    begun: { ratchet: connection.session!.ratchet!, safetyCode: "" },
    plan: { kept: 1, next: 100 * lastOfOther, base: account.last },
    account,
    rest: { receipted: upTo(1), kept: 1, next: 1 },
    stage: null,
  });
  if (event.type !== "repaired") throw new Error(event.type);
  const step = repaired(connection, event, { now, announced: [], discardUntil: now });
  await store.commit([...step.changes]);
  return { store, connection: step.connection };
}

/** Of which messages it would be told that a server has them. */
async function untold({ store, connection: { record: { id } } }: Awaited<ReturnType<typeof scene>>) {
  return (await store.frames(id, 0, 9)).map(({ messageId }) => messageId);
}

Deno.test("messages that a server has are known by their new user numbers after each of two repairs", {
  permissions,
}, async () => {
  let known = await scene();
  for (const lastOfOther of [4, 9]) {
    known = await repair(known, lastOfOther);
    assertEquals(await known.store.undelivered(known.connection.record.id, 0, 99, 9), [
      { id: 10, number: lastOfOther + 1 },
      { id: 11, number: lastOfOther + 2 },
    ]);
    assertEquals(await untold(known), [0, 0]);
  }
});

Deno.test("of a message that is not kept any more no repair leads to its being told again", {
  permissions,
}, async () => {
  const known = await scene();
  await known.store.prune(now);
  assertEquals(await untold(known), [10, 11]);
  assertEquals(await untold(await repair(known, 4)), [0, 0]);
});
