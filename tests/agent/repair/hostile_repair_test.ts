import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import {
  decodePublicPair,
  encodePublicPair,
  generateRatchetPair,
  joinerSession,
  padRepair,
  randomBytes,
  ratchetEncrypt,
  readRepair,
  repairTranscript,
  type SealedRepair,
  sealRepair,
  splitMessage,
} from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { HostileSession } from "../../support/hostile_session.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const sessions = { extensions: ["session1"], upgradeTimeout: 60_000 };
const none = { upTo: 0, ranges: [] };

/** An initiator, and a joiner that says whatever it likes and has the repair key. */
class Scene implements AsyncDisposable {
  private constructor(
    readonly victim: TestAgent,
    readonly hostile: HostileSession,
    readonly store: MemoryStore,
    readonly repairKey: Bytes,
  ) {}

  static async start(server: string): Promise<Scene> {
    const store = new MemoryStore();
    const victim = await TestAgent.start(server, { ...sessions, store });
    const hostile = await HostileSession.connect(victim, server);
    return new Scene(victim, hostile, store, hostile.connection.session!.keys.repairKey!);
  }

  say(sealed: Pick<SealedRepair, "bytes">): Promise<void> {
    return this.hostile.packet(padRepair(sealed, 4096));
  }

  /** What the victim has stored of repairs. */
  async repair() {
    return (await this.store.connections())[0]!.session!.keys.repair;
  }

  /** Sends a text in the session, and waits until it has come: what was sent before is handled then. */
  async settle(text: string): Promise<void> {
    await this.hostile.send(await this.hostile.message({ text }));
    assertEquals(await this.victim.text(), text);
  }

  get unreadable(): number {
    return this.victim.agent.connection("hostile").unreadable;
  }

  call(time: number, asked = 0): Promise<SealedRepair> {
    return sealRepair({ step: "call", time, id: randomBytes(16), asked }, { repairKey: this.repairKey });
  }

  /** Calls; gives the question. */
  async asked(time = Date.now()): Promise<Bytes> {
    const before = await this.question();
    const packet = readRepair(before)?.packet;
    await this.say(await this.call(time, packet?.step === "ask" ? packet.time : 0));
    await until(async () => `${await this.question()}` !== `${before}`);
    return await this.question();
  }

  /** What the victim asks; empty when it does not. */
  async question(): Promise<Bytes> {
    const stage = (await this.repair())?.stage;
    return stage?.type === "asked" ? stage.said : new Uint8Array(0);
  }

  async offer(ask: Bytes, next = 1000) {
    const question = readRepair(ask)!.packet;
    const pair = await generateRatchetPair();
    const account = { stored: none, greatest: 0, last: { id: 0, hash: new Uint8Array(32) } };
    const offer = {
      step: "offer",
      id: question.id,
      pair: encodePublicPair(pair),
      account,
      rest: { receipted: none, kept: this.hostile.next - 1, next },
    } as const;
    const sealed = await sealRepair(offer, { repairKey: this.repairKey, before: [ask] });
    return { pair, sealed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hostile[Symbol.asyncDispose]();
    await this.victim[Symbol.asyncDispose]();
  }
}

Deno.test("what is forged, cut off, reflected or too early is counted or dropped, and changes nothing", async () => {
  await using server = await startServer();
  await using scene = await Scene.start(server.address);
  const before = scene.unreadable;
  const wrong = { repairKey: randomBytes(32) };
  const account = { stored: none, greatest: 0, last: { id: 0, hash: new Uint8Array(32) } };
  const call = { step: "call", time: Date.now(), id: randomBytes(16), asked: 0 } as const;
  const ask = { step: "ask", time: Date.now(), id: randomBytes(16), account } as const;
  const { bytes } = await scene.call(Date.now());
  const counted = [
    await sealRepair(call, wrong),
    // Without its tag: one byte alone can be what it is padded with.
    { bytes: bytes.slice(0, -16) },
    { bytes: Uint8Array.of(...bytes, 1) },
    { bytes: Uint8Array.of(bytes[0]! ^ 9, ...bytes.slice(1)) },
    // As the victim would say it.
    await sealRepair(ask, { repairKey: scene.repairKey }),
  ];
  for (const one of counted) await scene.say(one);
  await scene.settle("after");
  assertEquals(scene.unreadable - before, counted.length);
  assertEquals(await scene.repair(), undefined);
  // Nobody has asked: it is taken for a sign that this side was restored, and nothing else of it is believed.
  const made = (await sealRepair(ask, { repairKey: scene.repairKey })).bytes;
  const { sealed } = await scene.offer(made);
  await scene.say(sealed);
  await until(async () => (await scene.repair())?.stage?.type === "asked");
  const question = await scene.question();
  await scene.say(sealed);
  await scene.settle("asked");
  assertEquals(await scene.question(), question);
});

Deno.test("a repair is done once an hour, the old session goes on until it is agreed on, and replays change nothing", async () => {
  await using server = await startServer();
  await using scene = await Scene.start(server.address);
  const { victim, hostile, repairKey } = scene;
  const code = victim.agent.safetyCode("hostile");
  await victim.agent.verify("hostile");
  const call = await scene.call(Date.now());
  await scene.say(call);
  await until(async () => (await scene.repair())?.stage?.type === "asked");
  const { stage } = (await scene.repair())!;
  const ask = await scene.question();
  await scene.say(call);
  await scene.settle("asked");
  assertEquals((await scene.repair())!.stage, stage);
  // What the victim has is another thing since then: it asks anew.
  const late = await scene.offer(ask);
  await scene.say(late.sealed);
  await scene.settle("asked again");
  assert(`${await scene.question()}` !== `${ask}`);
  const third = await scene.asked(Date.now() + 1);
  const { pair, sealed } = await scene.offer(third);
  const forged = sealed.bytes.slice();
  forged[100]! ^= 1;
  const before = scene.unreadable;
  await scene.say({ bytes: forged });
  await scene.say(sealed);
  await until(async () => (await scene.repair())!.stage!.type === "answered");
  assertEquals(scene.unreadable - before, 1);
  const answered = (await scene.repair())!.stage!;
  if (answered.type !== "answered") throw new Error(answered.type);
  await scene.say(sealed);
  // The new session begins with what was told before.
  await hostile.send(await hostile.message({ text: "in the old session" }));
  await scene.say({ bytes: forged });
  await until(() => scene.unreadable - before === 2);
  assertEquals(victim.events.filter(({ type }) => type === "message"), []);
  assertEquals((await scene.repair())!.stage, answered);
  assertEquals(victim.agent.safetyCode("hostile"), code);

  const packet = readRepair(answered.said)!.packet;
  if (packet.step !== "answer") throw new Error(packet.step);
  const transcript = await repairTranscript({ ask: third, offer: sealed.bytes, answer: answered.said });
  const begun = (await joinerSession(pair, {
    initiator: decodePublicPair(packet.pair)!,
    ciphertext: packet.ciphertext.slice(),
    transcript,
    repairKey,
  }))!;
  const frame = await hostile.message({ text: "in the new session" }, 1001);
  const made = await ratchetEncrypt(begun.state, frame);
  if (!made.ok) throw new Error(made.code);
  for (const packet of await splitMessage(made.message, 4096)) await hostile.packet(packet);
  assertEquals(await victim.text(), "in the new session");
  assertEquals(victim.agent.safetyCode("hostile"), begun.safetyCode);
  assertEquals(victim.agent.connection("hostile").session?.verified, false);
  assertEquals((await victim.next("security")).reason, "session repaired");

  const after = await scene.repair();
  const counted = scene.unreadable;
  for (const one of [call, sealed, { bytes: third }, await scene.call(Date.now() + 1000)]) {
    await scene.say(one);
  }
  const next = await ratchetEncrypt(made.state, await hostile.message({ text: "once more" }, 1002));
  if (!next.ok) throw new Error(next.code);
  for (const packet of await splitMessage(next.message, 4096)) await hostile.packet(packet);
  assertEquals(await victim.text(), "once more");
  assertEquals(await scene.repair(), after);
  // Its own question is what nobody but itself can have said.
  assertEquals(scene.unreadable - counted, 1);
});

Deno.test("who has made numbers or times as great as they can be is asked nothing, and holds up nothing", async () => {
  await using server = await startServer();
  for (const isTime of [true, false]) {
    await using scene = await Scene.start(server.address);
    const { victim, hostile } = scene;
    if (!isTime) {
      await hostile.send(await hostile.message({ text: "far", userNumber: 2 ** 47 }));
      assertEquals(await victim.text(), "far");
    }
    await scene.say(await scene.call(Date.now(), isTime ? 2 ** 47 - 1 : 0));
    for (const text of ["after", "later"]) {
      await hostile.send(await hostile.message({ text }));
      assertEquals(await victim.text(), text);
    }
    assertEquals(await scene.repair(), undefined);
    assertEquals(victim.events.filter(({ type }) => type === "error"), []);
  }
});

Deno.test("three messages that cannot be decrypted are told, and the session is asked to be repaired", async () => {
  await using server = await startServer();
  await using scene = await Scene.start(server.address);
  const message = await scene.hostile.encrypt(await scene.hostile.message({ text: "damaged" }));
  for (let i = 0; i < 3; i++) {
    const damaged = message.slice();
    damaged[message.length - 1 - i]! ^= 1;
    for (const packet of await scene.hostile.split(damaged)) await scene.hostile.packet(packet);
  }
  assertEquals((await scene.victim.next("security")).reason, "session out of step");
  await until(async () => (await scene.repair())?.stage?.type === "asked");
});
