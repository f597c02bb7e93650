import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { packetLength, randomBytes } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { HostileSession } from "../../support/hostile_session.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const sessions = { extensions: ["session1"] };

/** The texts that come, with what is wrong with them. */
async function texts(agent: TestAgent, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const { message: { body, integrity } } = await agent.next("message");
    const text = new TextDecoder().decode(body);
    found.push(integrity.type === "OK" ? text : `${text} ${integrity.type}`);
  }
  return found;
}

Deno.test("packets of garbage, of kinds to come and of no length are counted, and what follows them comes", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  const before = victim.agent.connection("hostile").unreadable;
  const length = packetLength(4096);
  await hostile.body(randomBytes(3648));
  await hostile.body(randomBytes(100));
  for (const kind of [2, 3, 4, 255]) {
    const packet = randomBytes(length);
    packet[0] = kind;
    await hostile.packet(packet);
  }
  const whole = new Uint8Array(length);
  whole.set([0, 0xff, 0xff]);
  await hostile.packet(whole);
  const garbage = new Uint8Array(length);
  garbage.set([0, 0, 10, ...randomBytes(10)]);
  await hostile.packet(garbage);
  await hostile.send(await hostile.message({ text: "after" }));
  assertEquals(await texts(victim, 1), ["after"]);
  assertEquals(victim.agent.connection("hostile").unreadable - before, 8);
});

Deno.test("frames of all other kinds, with numbers as large as can be, stop nothing", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  const id = randomBytes(8);
  await hostile.send(
    hostile.frame({ kind: "route ok", routeId: id }),
    hostile.frame({ kind: "route end", routeId: id }),
    hostile.frame({ kind: "route refused", routeId: id, reason: 1 }),
    hostile.frame({ kind: "skip", from: 1, to: 2 ** 48 - 1 }),
    hostile.frame({ kind: "last", userNumber: 2 ** 48 - 1 }),
    hostile.frame({ kind: "ready", kinds: [1, 2, 200] }),
    hostile.frame({ kind: "unknown", kindNumber: 200, content: randomBytes(20) }),
    hostile.frame({ kind: "last", userNumber: 0 }, 2 ** 48 - 1),
    hostile.frame({ kind: "unknown", kindNumber: 201, content: randomBytes(20) }, 0),
  );
  const far = { upTo: 2 ** 48 - 2, ranges: [] };
  await hostile.send(hostile.frame({ kind: "receipt", stored: far, acknowledged: far }));
  await victim.send("hostile", "back");
  await hostile.send(await hostile.message({ text: "after" }));
  assertEquals(await texts(victim, 1), ["after"]);
  assertEquals(victim.events.filter(({ type }) => type === "delivered"), []);
});

Deno.test("user numbers that are wrong, repeated or left out are told, and the application acknowledges them all", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  await hostile.send(await hostile.message({ text: "1" }));
  await hostile.send(await hostile.message({ text: "hash", previousHash: randomBytes(32) }));
  await hostile.send(await hostile.message({ text: "skipped", userNumber: 9 }));
  for (let i = 0; i < 3; i++) await hostile.send(await hostile.message({ text: "again", userNumber: 9 }));
  await hostile.send(await hostile.message({ text: "largest", userNumber: 2 ** 48 - 1 }));
  const again = "again DUPLICATE";
  assertEquals(await texts(victim, 7), [
    "1",
    "hash HASH",
    "skipped NO_ID",
    again,
    again,
    again,
    "largest NO_ID",
  ]);
  const waiting = () => victim.agent.messages("hostile");
  await until(async () => (await waiting()).every(({ done }) => done));
});

Deno.test("messages with one number do not use up the room for messages that wait", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  for (let i = 0; i < 6; i++) {
    const frames = [];
    for (let j = 0; j < 100; j++) frames.push(await hostile.message({ text: "x", userNumber: 7 }));
    await hostile.send(...frames);
  }
  assertEquals((await texts(victim, 600)).at(-1), "x DUPLICATE");
  await hostile.send(await hostile.message({ text: "after", userNumber: 8 }));
  assertEquals(await texts(victim, 1), ["after HASH"]);
});

Deno.test("frames that come early wait for the others, and those for which there is no room come again", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  const first = hostile.next;
  const frames = [];
  for (let i = 0; i < 602; i++) frames.push(await hostile.message({ text: `${i}` }));
  const messages = [];
  for (let at = 1; at < frames.length; at += 100) {
    messages.push(await hostile.encrypt(...frames.slice(at, at + 100)));
  }
  const send = async (message: Uint8Array<ArrayBuffer>) => {
    for (const packet of await hostile.split(message)) await hostile.packet(packet);
  };
  for (const message of messages) await send(message);
  await hostile.send(frames[0]!);
  assertEquals((await texts(victim, 501)).at(-1), "500");
  assertEquals(hostile.next - first, 602);
  assertEquals((await victim.agent.messages("hostile", { limit: 1000 })).length, 501);
  for (const message of messages.slice(5)) await send(message);
  assertEquals((await texts(victim, 101)).at(-1), "601");
});

Deno.test("pieces of several messages, mixed up and repeated, over a restart, make each message once", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  const before = await TestAgent.start(server.address, { ...sessions, store });
  await using hostile = await HostileSession.connect(before, server.address);
  const long = ["a", "b", "c"].map((letter) => letter.repeat(20_000));
  const parts = [];
  for (const text of long) {
    parts.push(await hostile.split(await hostile.encrypt(await hostile.message({ text }))));
  }
  const [a, b, c] = parts as [typeof parts[0], typeof parts[0], typeof parts[0]];
  for (let i = a.length - 1; i >= 0; i--) {
    for (const packets of [b!, a!, b!]) if (i > 0 || packets === a) await hostile.packet(packets[i]!);
  }
  for (const packet of c!) await hostile.packet(packet);
  assertEquals(await texts(before, 1), long.slice(0, 1));
  await until(async () =>
    (await store.pieces((await store.connections())[0]!.record.id)).length === b!.length - 1
  );
  await before[Symbol.asyncDispose]();
  await using victim = await TestAgent.start(server.address, { ...sessions, store });
  await victim.agent.subscribeAll();
  await hostile.packet(b![0]!);
  for (const packet of a!) await hostile.packet(packet);
  assertEquals(await texts(victim, 2), long.slice(1));
  await hostile.send(await hostile.message({ text: "after" }));
  assertEquals(await texts(victim, 1), ["after"]);
});
