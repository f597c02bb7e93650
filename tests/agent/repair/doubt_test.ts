import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { withRecord } from "../../../agent/core/connection.ts";
import { encryptReceipt } from "../../../agent/runtime/frames.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { isAnother, withTag } from "../../../agent/session/chain_tags.ts";
import { answered, started, upTo } from "../../../agent/session/fork.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import type { Connection, Fork, Session } from "../../../agent/store/store.ts";
import {
  decodeFrames,
  encodeFrame,
  ratchetDecrypt,
  ratchetEncrypt,
  textBytes,
} from "../../../protocol/mod.ts";
import { CutProxy } from "../../support/cut_proxy.ts";
import { newSessions, newSides, Side } from "../../support/ratchet.ts";
import { connected, reasonsOf, type Restorable, talk, textsOf, untilText } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { together } from "../../support/together.ts";
import { until } from "../../support/wait.ts";
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../store/samples.ts";

const sides = ["initiator", "joiner"] as const;

/** Two sides, each with a server of its own that can be cut off: one of them, `restored`, will be. */
async function apart(role: typeof sides[number]) {
  await using stack = new AsyncDisposableStack();
  const place = async () => {
    const server = stack.use(await startServer());
    const proxy = stack.use(new CutProxy(server.port));
    return { server, proxy };
  };
  const [one, two] = [await place(), await place()];
  const ports = { alice: one.proxy.port, bob: two.proxy.port };
  const pair = await connected({ alice: one.server, bob: two.server }, { ports });
  const { alice, bob } = pair;
  stack.use(alice);
  stack.use(bob);
  await talk(alice, bob, "1");
  const [restored, other] = role === "initiator" ? [alice, bob] : [bob, alice];
  const [own, others] = role === "initiator" ? [one, two] : [two, one];
  const open = stack.move();
  return {
    ...{ alice, bob, restored, other, own, others },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function sent(side: Restorable, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const id = await side.send(text);
    await side.agent.next("sent", (event) => event.id === id);
  }
}

/** Waits until a side has told that it has all that has come, up to a text. */
async function told(side: Restorable, text: string): Promise<void> {
  await untilText(side, text);
  await untilStored(side, (session) => !session.receiptDue);
}

async function untilStored(
  { store }: Restorable,
  isRight: (session: Session) => boolean,
): Promise<void> {
  await until(async () => isRight((await store.connections())[0]!.session!));
}

const losses = sides.flatMap((role) => [["lost 1"], ["lost 1", "lost 2"]].map((lost) => ({ role, lost })));

Deno.test("receipts of what a restored side had sent before are none of what it sends now", () =>
  together(sides, async (role) => {
    await using pair = await apart(role);
    const { alice, bob, restored, other, own, others } = pair;
    await other.stop();
    await sent(restored, "kept");
    const backup = await restored.backup();
    await sent(restored, "lost 1", "lost 2");
    await restored.stop();
    await other.start();
    await told(other, "lost 2");
    // What it sends now waits here, and the receipts come.
    others.proxy.cut(true);
    own.proxy.cut(true);
    await restored.start(backup);
    for (const text of ["new 1", "new 2"]) await restored.send(text);
    own.proxy.mend();
    await until(() => own.server.gauges().messages === 0);
    others.proxy.mend();
    await untilText(other, "new 2");
    await talk(alice, bob, "2");
    assertEquals(textsOf(other), ["kept", "lost 1", "lost 2", "new 1", "new 2"]);
  }));

Deno.test("what a restored side sends after some that it does not know of comes, though the other side was started again", () =>
  together(losses, async ({ role, lost }) => {
    await using pair = await apart(role);
    const { alice, bob, restored, other, own } = pair;
    await other.stop();
    await sent(restored, "kept");
    const backup = await restored.backup();
    await sent(restored, ...lost);
    await restored.stop();
    own.proxy.cut(true);
    await other.start();
    await untilText(other, lost.at(-1)!);
    await other.restore(other.store);
    await restored.start(backup);
    await sent(restored, "new");
    own.proxy.mend();
    await untilText(other, "new");
    await talk(alice, bob, "2");
    assert(textsOf(other).includes("new"));
    assert(reasonsOf(restored).includes("session repaired"));
  }));

Deno.test("who has found a restored side still knows that after a start, and takes nothing of it", () =>
  together(sides, async (role) => {
    await using pair = await apart(role);
    const { alice, bob, restored, other, own, others } = pair;
    await sent(restored, "kept");
    await untilText(other, "kept");
    const backup = await restored.backup();
    await sent(restored, "lost 1", "lost 2");
    await untilText(other, "lost 2");
    await restored.stop();
    own.proxy.cut(true);
    await restored.start(backup);
    await sent(restored, "new 1", "new 2");
    const isRead = () => others.server.gauges().messages === 0;
    await until(isRead);
    await other.restore(other.store);
    await sent(restored, "new 3");
    await until(isRead);
    own.proxy.mend();
    await untilText(other, "new 3");
    await talk(alice, bob, "2");
    assertEquals(textsOf(other), ["new 1", "new 2", "new 3"]);
  }));

Deno.test("a side that was started again is told that its only message was delivered, and is not repaired", () =>
  together(sides, async (role) => {
    await using pair = await apart(role);
    const { restored, other } = pair;
    await other.stop();
    await sent(restored, "before");
    await restored.restore(restored.store);
    const id = await restored.send("after");
    await other.start();
    await restored.agent.next("delivered", (event) => event.id === id);
    await untilStored(
      restored,
      ({ fork, receipted, lastNumber }) => fork === null && receipted.upTo === lastNumber,
    );
    assertEquals([...reasonsOf(restored), ...reasonsOf(other)], []);
  }));

const permissions = "none";
const lastSent = { id: 3, hash: new Uint8Array(32) };
const key = (mark: number) => new Uint8Array(32).fill(mark);

const active = { reply: true, receiving: "active", sending: "active", connected: true } as const;

/** A connection with an active session. */
function withActive(changed: Partial<Session>): Connection {
  const session = { ...newSession({}), status: "active", ...changed } as const;
  return { ...withRecord(connectionIn({ role: "joiner", ...active }), { lastSent }), session };
}

/** What is in doubt when an agent is started after as many frames, its last pair being this one. */
async function forkAt(fork: Fork | null, lastNumber: number, ownKey: Uint8Array<ArrayBuffer>): Promise<Fork> {
  const { joiner } = await newSessions();
  const ratchet = { ...joiner.state, ownKey };
  return started(withActive({ ratchet, lastNumber, fork })).session!.fork!;
}

Deno.test("an answer to a pair says that all starts before that pair were none of a restored database", {
  permissions,
}, async () => {
  const first = await forkAt(null, 10, key(1));
  assertEquals(first, { number: 10, lastSent, ownKey: key(1) });
  assertEquals(answered(first, key(1)), first);
  assertEquals(answered(first, key(2)), null);
  // Nothing was answered between the starts: the later one is in doubt by the first.
  assertEquals(await forkAt(first, 20, key(1)), first);
  const both = await forkAt(first, 30, key(2));
  assertEquals(both, { ...first, later: { number: 30, lastSent, ownKey: key(2) } });
  assertEquals(answered(both, key(1)), both);
  assertEquals(answered(both, key(2)), { number: 30, lastSent, ownKey: key(2) });
  assertEquals(answered(both, key(3)), null);
  assertEquals(answered(null, key(1)), null);
});

Deno.test("of a version that kept no pair with a start, the next start does", { permissions }, async () => {
  const old = { number: 10, lastSent };
  assertEquals(answered(old, key(1)), old);
  assertEquals(await forkAt(old, 20, key(2)), { ...old, ownKey: key(2) });
});

Deno.test("a set is believed up to a number", { permissions }, () => {
  const set = { upTo: 5, ranges: [[7, 9], [11, 12]] as const };
  assertEquals(upTo(set, 4), { upTo: 4, ranges: [] });
  assertEquals(upTo(set, 8), { upTo: 5, ranges: [[7, 8]] });
  assertEquals(upTo(set, Infinity), set);
});

Deno.test("a receipt asks for one in return while what was sent is in doubt, after that has gone", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  await initiator.receive(await joiner.send("first"));
  const fork = { number: 1, lastSent, ownKey: joiner.state.ownKey };
  const session = { ratchet: joiner.state, receiptDue: true, lastNumber: 2, lastEncrypted: 2, lastTaken: 1 };
  const kinds = async (changed: Partial<Session>) => {
    const receipt = await encryptReceipt(withActive({ ...session, ...changed }), 5);
    if (receipt === null) return null;
    const opened = await ratchetDecrypt(initiator.state, receipt.message, 5);
    const frames = opened.ok ? decodeFrames(opened.plaintext) : opened;
    assert(frames.ok);
    return frames.frames.map(({ kind, number }) => `${kind} ${number}`);
  };
  assertEquals(await kinds({ fork: null }), ["receipt 0", "digest 0"]);
  assertEquals(await kinds({ fork: { ...fork, number: 2 } }), ["receipt 0", "digest 0"]);
  assertEquals(await kinds({ fork }), ["receipt 0", "digest 0", "ready 1"]);
  await joiner.receive(await initiator.send("answer"));
  // It would begin a chain before all of the one before is at a server.
  assertEquals(await kinds({ fork, ratchet: joiner.state }), null);
  assertEquals(await kinds({ fork, ratchet: joiner.state, lastTaken: 2 }), [
    "receipt 0",
    "digest 0",
    "ready 1",
  ]);
  assertEquals(await kinds({ fork: null, ratchet: joiner.state }), ["receipt 0", "digest 0"]);
});

Deno.test("who ends a chain before what has come of it was restored", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  await initiator.receive(await joiner.send("first"));
  const answer = await initiator.send("answer");
  const older = new Side(joiner.state);
  await initiator.receive(await joiner.send("second"));
  await older.receive(answer);
  const context = { store: new MemoryStore(), allowUnverified: true };
  const route = inboundRoute("one");
  const connection = { ...withActive({ ratchet: initiator.state }), inbound: [route] };
  const packet = { type: "message", message: await older.send("ends it") } as const;
  const incoming = [{ serverId: "AAAA", serverAt: 5, packet }];
  const opened = await openPackets(context, connection, { route: route.id, incoming, now: 5 });
  assertEquals([opened.isOther, opened.unreadable, opened.ratchet], [true, 0, initiator.state]);
});

Deno.test(
  "another message of a used key tells of a restored side after a start, also when the last one has not come",
  {
    permissions,
  },
  async () => {
    const { joiner, initiator } = await newSides();
    const begins = await joiner.send("0");
    const older = new Side(joiner.state);
    const context = { store: new MemoryStore(), allowUnverified: true };
    const route = inboundRoute("one");
    const open = (session: Partial<Session>, ...messages: readonly Uint8Array<ArrayBuffer>[]) => {
      const connection = { ...withActive(session), inbound: [route, inboundRoute("two")] };
      const incoming = messages.map((message) => (
        { serverId: "AAAA", serverAt: 5, packet: { type: "message", message } as const }
      ));
      return openPackets(context, connection, { route: route.id, incoming, now: 5 });
    };
    const [first, second, third] = [await joiner.send("1"), await joiner.send("2"), await joiner.send("3")];
    const { ratchet, tags } = await open({ ratchet: initiator.state }, begins, first, third);
    const started = { ratchet, ...tags && { tags } };
    assertEquals(tags?.length, 16);
    const repeated = await open(started, first, second, third);
    assertEquals([repeated.isOther, repeated.isRepeated], [false, true]);
    const other = await older.send("other 1");
    assertEquals((await open(started, other)).isOther, true);
    // What comes late by another route is another one all the same.
    assertEquals((await open({ ...started, heardAt: 10 }, other)).isOther, true);
    assertEquals((await open({ ...started, heardAt: 10 }, first)).isRepeated, false);
  },
);

Deno.test(
  "of a chain the last messages are known, and those of the chain before are not",
  { permissions },
  () => {
    const message = (mark: number) => new Uint8Array(20).fill(mark);
    let tags = withTag(new Uint8Array(0), { message: message(1), number: 0 }, [0, 1]);
    assertEquals(isAnother(tags, { message: message(1), number: 0 }, 1), false);
    assertEquals(isAnother(tags, { message: message(2), number: 0 }, 1), true);
    tags = withTag(tags, { message: message(3), number: 2 }, [1, 3]);
    assertEquals([0, 1, 2].map((number) => isAnother(tags, { message: message(9), number }, 3)), [
      true,
      false,
      true,
    ]);
    tags = withTag(tags, { message: message(2), number: 1 }, [3, 3]);
    assertEquals([1, 2, 3].map((mark) => isAnother(tags, { message: message(mark), number: mark - 1 }, 3)), [
      false,
      false,
      false,
    ]);
    tags = withTag(tags, { message: message(5), number: 33 }, [3, 34]);
    assertEquals(tags.length, 128);
    assertEquals([1, 2, 33].map((number) => isAnother(tags, { message: message(9), number }, 34)), [
      false,
      true,
      true,
    ]);
    tags = withTag(tags, { message: message(6), number: 0 }, [0, 1]);
    assertEquals([tags.length, isAnother(tags, { message: message(6), number: 0 }, 1)], [4, false]);
  },
);

Deno.test("another frame with a number that has come tells of a restored side, and the same one does not", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  await initiator.receive(await joiner.send("first"));
  const route = inboundRoute("one");
  const store = new MemoryStore();
  const frame = (text: string, userNumber = 1, number = 2) => (
    {
      kind: "message",
      number,
      time: 7,
      userNumber,
      previousHash: new Uint8Array(32),
      body: textBytes(text),
    } as const
  );
  const empty = withRecord({ ...withActive({}), inbound: [route] }, {
    lastReceived: { id: 1, hash: key(1) },
  });
  const { record: { id: connection } } = empty;
  const received = {
    integrity: { type: "OK" },
    serverId: "AAAA",
    serverAt: 7,
    senderId: 1,
    senderAt: 7,
  } as const;
  const rest = { connection, id: 1, at: 7, done: true, number: null, delivered: false };
  await store.commit([
    { type: "put connection", record: empty.record },
    { type: "put message", message: { ...rest, body: textBytes("it"), received } },
    {
      type: "put held",
      held: {
        connection,
        number: 4,
        frame: encodeFrame(frame("waits", 3, 4)),
        serverId: "AAAA",
        serverAt: 7,
      },
    },
  ]);
  const stored = { upTo: 2, ranges: [[4, 4]] } as const;
  const is = async (...frames: readonly ReturnType<typeof frame>[]) => {
    const incoming = [];
    for (const frame of frames) {
      const sealed = await ratchetEncrypt(joiner.state, encodeFrame(frame));
      assert(sealed.ok);
      joiner.state = sealed.state;
      const packet = { type: "message", message: sealed.message } as const;
      incoming.push({ serverId: "AAAA", serverAt: 8, packet });
    }
    const changed = withSession(empty, { ratchet: initiator.state, stored });
    const opened = await openPackets({ store, allowUnverified: true }, changed, {
      route: route.id,
      incoming,
      now: 8,
    });
    return opened.isOther ? "other" : opened.isRepeated ? "repeated" : "new";
  };
  assertEquals(await is(frame("it")), "repeated");
  assertEquals(await is(frame("another")), "other");
  assertEquals(await is(frame("later", 2)), "other");
  assertEquals(await is(frame("waits", 3, 4)), "repeated");
  assertEquals(await is(frame("another", 3, 4)), "other");
  assertEquals(await is(frame("third", 2, 3)), "new");
  assertEquals(await is(frame("third", 2, 3), frame("third", 2, 3)), "repeated");
  assertEquals(await is(frame("third", 2, 3), frame("another", 2, 3)), "other");
});
