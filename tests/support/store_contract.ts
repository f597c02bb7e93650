import { assert, assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import fc from "fast-check";
import { encodeBase64, randomBytes } from "../../protocol/mod.ts";
import type { MessageStore, QueueRecord, QueueStore, StoredMessage } from "../../server/store/store.ts";
import { fakeSigner } from "./broker.ts";

/** A store under test; it is disposed of after the test if it can be. */
export type UnderTest<Store> = Store & Partial<AsyncDisposable>;

/** What a store under test needs. */
export interface ContractOptions {
  /** @default "none" */
  readonly permissions?: Deno.PermissionOptions;
}

function newRecord(): QueueRecord {
  const [recipientId, senderId] = [encodeBase64(randomBytes(12)), encodeBase64(randomBytes(12))];
  return {
    recipientId,
    senderId,
    recipientKey: fakeSigner().publicKey,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  };
}

function newMessage(body: string): StoredMessage {
  const timestamp = new Date(1620553068123);
  return { id: encodeBase64(randomBytes(6)), timestamp, body: new TextEncoder().encode(body) };
}

function registrar<Store>(
  name: string,
  open: () => UnderTest<Store> | Promise<UnderTest<Store>>,
  { permissions = "none" }: ContractOptions,
): (what: string, test: (store: Store) => Promise<void>) => void {
  return (what, test) =>
    Deno.test(`${name}: ${what}`, { permissions }, async () => {
      const store = await open();
      try {
        await test(store);
      } finally {
        await store[Symbol.asyncDispose]?.();
      }
    });
}

/** Registers the tests that every `QueueStore` has to pass; `open` makes an empty one. */
export function testQueueStore(
  name: string,
  open: () => UnderTest<QueueStore> | Promise<UnderTest<QueueStore>>,
  options: ContractOptions = {},
): void {
  const test = registrar<QueueStore>(name, open, options);

  test("a queue is found by each of its IDs and by no other", async (store) => {
    const [one, two] = [newRecord(), newRecord()];
    assertEquals([await store.create(one), await store.create(two)], [true, true]);
    for (const record of [one, two]) {
      assertEquals(await store.byRecipientId(record.recipientId), record);
      assertEquals(await store.bySenderId(record.senderId), record);
      assertEquals(await store.byRecipientId(record.senderId), undefined);
      assertEquals(await store.bySenderId(record.recipientId), undefined);
    }
  });

  test("what is not there is undefined", async (store) => {
    for (const id of ["", "AAAA", "__proto__", "constructor", "toString"]) {
      assertEquals([await store.byRecipientId(id), await store.bySenderId(id)], [undefined, undefined]);
    }
  });

  test("an ID that is taken by either kind of ID is not given again", async (store) => {
    const first = newRecord();
    assert(await store.create(first));
    const { recipientId, senderId } = first;
    const taken: Partial<QueueRecord>[] = [
      { recipientId },
      { senderId },
      { recipientId: senderId },
      { senderId: recipientId },
      { recipientId, senderId },
      { recipientId: senderId, senderId: recipientId },
    ];
    for (const ids of taken) {
      const other = { ...newRecord(), ...ids };
      assertEquals(await store.create(other), false);
      for (const id of [other.recipientId, other.senderId]) {
        assertEquals(await store.byRecipientId(id), id === recipientId ? first : undefined);
        assertEquals(await store.bySenderId(id), id === senderId ? first : undefined);
      }
    }
    const same = newRecord();
    assertEquals(await store.create({ ...same, senderId: same.recipientId }), false);
    assertEquals(await store.byRecipientId(same.recipientId), undefined);
  });

  test("one of several calls at a time gets an ID", async (store) => {
    const records = Array.from({ length: 5 }, () => ({ ...newRecord(), senderId: "AAAAAAAAAAAAAAAA" }));
    const created = await Promise.all(records.map((record) => store.create(record)));
    assertEquals(created.filter((made) => made).length, 1);
    assertEquals(await store.bySenderId("AAAAAAAAAAAAAAAA"), records[created.indexOf(true)]);
  });

  test("a change is seen by both IDs, and other queues are as they were", async (store) => {
    const [one, two] = [newRecord(), newRecord()];
    for (const record of [one, two]) assert(await store.create(record));
    const senderKey = fakeSigner().publicKey;
    await store.secure(one.recipientId, senderKey);
    const secured = { ...one, senderKey };
    assertEquals(await store.byRecipientId(one.recipientId), secured);
    assertEquals(await store.bySenderId(one.senderId), secured);
    await store.suspend(one.recipientId, 1);
    const suspended = { ...secured, suspended: true, changedAt: 1 };
    assertEquals(await store.byRecipientId(one.recipientId), suspended);
    assertEquals(await store.bySenderId(one.senderId), suspended);
    assertEquals(await store.byRecipientId(two.recipientId), two);
  });

  test("suspending twice is no error, and a suspended queue can be secured", async (store) => {
    const record = newRecord();
    assert(await store.create(record));
    for (let i = 0; i < 2; i++) await store.suspend(record.recipientId, 1);
    const senderKey = fakeSigner().publicKey;
    await store.secure(record.recipientId, senderKey);
    const expected = { ...record, senderKey, suspended: true, changedAt: 1 };
    assertEquals(await store.byRecipientId(record.recipientId), expected);
  });

  test("a record that was given out never changes", async (store) => {
    const record = newRecord();
    const copy = { ...record };
    assert(await store.create(record));
    const before = await store.byRecipientId(record.recipientId);
    await store.secure(record.recipientId, fakeSigner().publicKey);
    await store.suspend(record.recipientId, 1);
    assertEquals([before, record], [copy, copy]);
  });

  test("a deleted queue is not found, and its IDs are free", async (store) => {
    const [one, two] = [newRecord(), newRecord()];
    for (const record of [one, two]) assert(await store.create(record));
    await store.delete(one.recipientId);
    assertEquals(await store.byRecipientId(one.recipientId), undefined);
    assertEquals(await store.bySenderId(one.senderId), undefined);
    assertEquals(await store.bySenderId(two.senderId), two);
    assert(await store.create({ ...newRecord(), recipientId: one.recipientId, senderId: one.senderId }));
    assert(await store.bySenderId(one.senderId));
  });

  test("the queues are counted and listed", async (store) => {
    const all = async () => {
      const ids = new Set<string>();
      for await (const { recipientId } of store.records()) ids.add(recipientId);
      return ids;
    };
    const records = Array.from({ length: 20 }, newRecord);
    for (const [i, record] of records.entries()) {
      assert(await store.create(record));
      assertEquals(store.size, i + 1);
    }
    assertEquals(await store.create(records[0]!), false);
    assertEquals(await all(), new Set(records.map(({ recipientId }) => recipientId)));
    for (const { recipientId } of records.slice(5)) await store.delete(recipientId);
    assertEquals(store.size, 5);
    assertEquals(await all(), new Set(records.slice(0, 5).map(({ recipientId }) => recipientId)));
  });

  test("changes to a queue that is not there make none", async (store) => {
    const { recipientId, senderId, recipientKey } = newRecord();
    await store.secure(recipientId, recipientKey);
    await store.suspend(recipientId, 1);
    await store.delete(recipientId);
    assertEquals(await store.byRecipientId(recipientId), undefined);
    assert(
      await store.create({
        recipientId,
        senderId,
        recipientKey,
        senderKey: null,
        suspended: false,
        changedAt: 0,
      }),
    );
    // A sender ID is not what changes go by
    await store.delete(senderId);
    await store.suspend(senderId, 1);
    assertEquals((await store.byRecipientId(recipientId))?.suspended, false);
  });
}

/** Registers the tests that every `MessageStore` has to pass; `open` makes an empty one. */
export function testMessageStore(
  name: string,
  open: () => UnderTest<MessageStore> | Promise<UnderTest<MessageStore>>,
  options: ContractOptions = {},
): void {
  const test = registrar<MessageStore>(name, open, options);

  /** All messages of a queue, which is empty then. */
  async function drain(store: MessageStore, queue: string): Promise<StoredMessage[]> {
    const messages: StoredMessage[] = [];
    while (messages.length < 1000) {
      const first = await store.first(queue);
      if (first === undefined) return messages;
      messages.push(first);
      await store.remove(queue, first.id);
    }
    throw new Error("the store does not remove messages");
  }

  test("an empty queue has no first message", async (store) => {
    for (const queue of ["", "AAAA", "__proto__", "constructor"]) {
      assertEquals(await store.first(queue), undefined);
    }
  });

  test("the first message stays until it is removed", async (store) => {
    const [one, two] = [newMessage("one"), newMessage("two")];
    for (const message of [one, two]) await store.append("q", message);
    assertEquals([await store.first("q"), await store.first("q")], [one, one]);
    await store.remove("q", one.id);
    assertEquals(await store.first("q"), two);
    await store.remove("q", two.id);
    assertEquals(await store.first("q"), undefined);
  });

  test("the next message is the one behind another, or the oldest when that is gone", async (store) => {
    const messages = Array.from({ length: 5 }, (_, i) => newMessage(String(i)));
    for (const queue of ["", "q", "__proto__"]) {
      assertEquals(await store.next(queue, messages[0]!.id), undefined);
    }
    for (const message of messages) await store.append("q", message);
    await store.append("other", newMessage("other"));
    const next = (i: number) => store.next("q", messages[i]!.id);
    for (let i = 0; i < 5; i++) assertEquals(await next(i), messages[i + 1]);
    await store.remove("q", messages[0]!.id);
    await store.remove("q", messages[2]!.id);
    assertEquals([await next(0), await next(1), await next(2)], [messages[1], messages[3], messages[1]]);
    await store.deleteQueue("q");
    assertEquals(await next(1), undefined);
  });

  test("messages keep ID, time and body", async (store) => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (
      const message of [{ ...newMessage(""), body }, newMessage(""), {
        ...newMessage(""),
        timestamp: new Date(1),
      }]
    ) {
      await store.append("q", message);
      assertEquals(await drain(store, "q"), [message]);
    }
  });

  test("hundreds of messages keep their order", async (store) => {
    const messages = Array.from({ length: 500 }, (_, i) => newMessage(String(i)));
    for (const message of messages) await store.append("q", message);
    assertEquals(await drain(store, "q"), messages);
  });

  test("messages that are added without waiting keep their order", async (store) => {
    const messages = Array.from({ length: 50 }, (_, i) => newMessage(String(i)));
    await Promise.all(messages.map((message) => store.append("q", message)));
    assertEquals(await drain(store, "q"), messages);
  });

  test("any message can be removed, and what is not there is no error", async (store) => {
    const messages = Array.from({ length: 5 }, (_, i) => newMessage(String(i)));
    for (const message of messages) await store.append("q", message);
    for (const i of [2, 4]) await store.remove("q", messages[i]!.id);
    await store.remove("q", messages[2]!.id);
    await store.remove("other", messages[0]!.id);
    assertEquals(await drain(store, "q"), [messages[0]!, messages[1]!, messages[3]!]);
    await store.append("q", messages[2]!);
    assertEquals(await store.first("q"), messages[2]);
  });

  test("queues do not touch each other", async (store) => {
    const message = newMessage("x");
    await store.append("a", message);
    await store.append("b", message);
    await store.deleteQueue("a");
    assertEquals([await store.first("a"), await store.first("b")], [undefined, message]);
  });

  test("a deleted queue is empty and can be used again", async (store) => {
    await store.deleteQueue("q");
    for (const body of ["a", "b"]) await store.append("q", newMessage(body));
    await store.deleteQueue("q");
    const message = newMessage("c");
    await store.append("q", message);
    assertEquals(await drain(store, "q"), [message]);
  });

  test("messages and their bytes are counted", async (store) => {
    const counts = async () => [await store.count("a"), await store.count("b"), store.size, store.bytes];
    assertEquals(await counts(), [0, 0, 0, 0]);
    const [one, two, three] = [newMessage("1"), newMessage("22"), newMessage("333")];
    await store.append("a", one);
    await store.append("a", two);
    await store.append("b", three);
    assertEquals(await counts(), [2, 1, 3, 6]);
    await store.remove("a", one.id);
    await store.remove("a", one.id);
    assertEquals(await counts(), [1, 1, 2, 5]);
    await store.deleteQueue("b");
    assertEquals(await counts(), [1, 0, 1, 2]);
  });

  test("messages from before a time expire, of all queues", async (store) => {
    const at = (time: number, body: string) => ({ ...newMessage(body), timestamp: new Date(time) });
    const [old, edge, young] = [at(99, "old"), at(100, "edge"), at(101, "young")];
    for (const message of [old, edge, young]) await store.append("a", message);
    await store.append("b", old);
    assertEquals([await store.expire(100), await store.expire(100), store.size, store.bytes], [2, 0, 2, 9]);
    assertEquals([await drain(store, "a"), await drain(store, "b")], [[edge, young], []]);
  });

  test("expiry looks at no message behind one that stays, and others have their turn meanwhile", async (store) => {
    let looks = 0;
    const message = (time: number): StoredMessage => {
      const getTime = () => {
        looks++;
        return time;
      };
      return { ...newMessage("x"), timestamp: Object.assign(new Date(time), { getTime }) };
    };
    const queues = 5_000;
    await Promise.all(Array.from({ length: queues }, async (_, i) => {
      for (const time of i % 2 === 0 ? [1, 200, 2, 201] : [200, 1]) {
        await store.append(`q${i}`, message(time));
      }
    }));
    let turns = 0, isDone = false;
    const expiring = store.expire(100).finally(() => isDone = true);
    while (!isDone) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      if (++turns === 1) {
        // What comes and goes meanwhile changes nothing for the others.
        await store.deleteQueue("q0");
        await store.remove("q1", (await store.first("q1"))!.id);
        await store.append("late", message(200));
      }
    }
    const expired = await expiring;
    assert(expired >= queues / 2 - 1 && expired <= queues / 2 + 1, `${expired}`);
    assert(looks <= queues * 1.5 + 10, `${looks} messages were looked at`);
    assert(turns >= 5, `${turns}`);
    assertEquals([await store.count("q2"), await store.count("q3"), await store.count("late")], [3, 2, 1]);
  });

  test("several expiries at a time remove and count each message once", async (store) => {
    for (let i = 0; i < 2_500; i++) await store.append(`q${i}`, newMessage("x"));
    const all = await Promise.all([1, 2, 3].map(() => store.expire(Infinity)));
    assertEquals([all.reduce((sum, count) => sum + count), store.size, store.bytes], [2_500, 0, 0]);
  });

  test("any sequence of operations gives what arrays would", async (store) => {
    const step = fc.record({
      operation: fc.constantFrom("append", "append", "removeFirst", "removeAny", "deleteQueue"),
      queue: fc.constantFrom("a", "b"),
      pick: fc.nat(7),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const model = new Map<string, StoredMessage[]>([["a", []], ["b", []]]);
        for (const { operation, queue, pick } of steps) {
          const messages = model.get(queue)!;
          if (operation === "append") {
            const message = newMessage(String(pick));
            messages.push(message);
            await store.append(queue, message);
          } else if (operation === "deleteQueue") {
            messages.length = 0;
            await store.deleteQueue(queue);
          } else {
            const [removed] = messages.splice(operation === "removeFirst" ? 0 : pick, 1);
            await store.remove(queue, removed?.id ?? "AAAAAAAA");
          }
          assertEquals(await store.first(queue), messages[0]);
        }
        for (const [queue, messages] of model) assertEquals(await drain(store, queue), messages);
      }),
      { numRuns: 50 },
    );
  });
}
