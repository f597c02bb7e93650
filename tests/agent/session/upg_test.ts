import { assert, assertEquals } from "@std/assert";
import { encodeExtensions } from "../../../agent/protocol/extensions.ts";
import { SmpClient } from "../../../mod.ts";
import {
  encodeJoinerUpgrade,
  formatAddress,
  generateRatchetPair,
  randomBytes,
  senderKeyPrimes,
} from "../../../protocol/mod.ts";
import { MemoryQueueStore } from "../../../server/mod.ts";
import { storedKeys, TestAgent } from "../../support/agent.ts";
import { HostileAgent, hostileKeys } from "../../support/hostile_agent.ts";
import { routeRecord } from "../../support/route_record.ts";
import { startServer } from "../../support/server.ts";
import { keyOf } from "../../support/test_keys.ts";
import { until } from "../../support/wait.ts";

const sessions = { extensions: ["session1"] };

type Bytes = Uint8Array<ArrayBuffer>;

/** A message that carries what announces extensions. */
function head(at: number, previousHash: Bytes = encodeExtensions(sessions.extensions)) {
  return { id: 0, timestamp: new Date(at), previousHash };
}

Deno.test("of what is no UPG nothing is left, a second one changes nothing, and an equal one is no other", async () => {
  const queues = new MemoryQueueStore();
  await using server = await startServer({ queues });
  await using victim = await TestAgent.start(server.address, sessions);
  const { invitation } = await victim.agent.create("x");
  await using hostile = await HostileAgent.connect(invitation);
  await using client = await SmpClient.connect(invitation.server);
  const upg = (upgrade: Bytes, at: number) =>
    hostile.message({ type: "UPG", upgrade, ...head(at, new Uint8Array(0)) });
  const info = () => victim.agent.connection("x");

  await hostile.key();
  const { publicKey: verificationKey } = hostileKeys[1]!;
  const hello = () => hostile.message({ type: "HELLO", verificationKey, noAck: false, ...head(1000) });
  // It is refused until the victim has secured its queue.
  await until(() => hello().then(() => true, () => false));
  const own = await client.createQueue({ keyPair: hostileKeys[2]! });
  const { publicKey: encryptionKey } = await keyOf("client", "decrypt");
  const queueInfo = { server: invitation.server, senderId: own.senderId, encryptionKey };
  await hostile.message({ type: "REPLY", queueInfo, ...head(2000) });
  await until(() => info().session !== null);
  assertEquals([...queues.records()].length, 2);

  const pair = await generateRatchetPair();
  const route = routeRecord(3, {
    server: formatAddress(invitation.server),
    ...senderKeyPrimes(storedKeys[0]!.privateKey),
  });
  const valid = encodeJoinerUpgrade({ pair, route });
  const zero = valid.slice();
  zero.fill(0, 1, 33);
  const wrong = [
    new Uint8Array(0),
    Uint8Array.of(1),
    randomBytes(2000),
    valid.slice(0, -1),
    Uint8Array.of(...valid, 0),
    Uint8Array.of(2, ...valid.slice(1)),
    zero,
  ];
  for (const [i, upgrade] of wrong.entries()) {
    await upg(upgrade, 3000 + i);
    await victim.next("error", ({ error }) => error.code === "AGENT A_MESSAGE");
  }
  assertEquals(info().unreadable, wrong.length);
  assertEquals(victim.agent.safetyCode("x"), null);
  await until(() => [...queues.records()].length === 2);

  await upg(valid, 4000);
  await until(() => victim.agent.safetyCode("x") !== null);
  const code = victim.agent.safetyCode("x");
  await upg(valid, 5000);
  await upg(valid, 6000);
  await upg(encodeJoinerUpgrade({ pair: await generateRatchetPair(), route }), 7000);
  await until(() => info().unreadable === wrong.length + 1);
  assertEquals(victim.agent.safetyCode("x"), code);
  assertEquals(info().session?.active, false);
  // That of the hostile agent, that of 0.3, and that of the session.
  assertEquals([...queues.records()].length, 3);

  await hostile.text("in 0.3 after both have announced sessions");
  await victim.next("error", ({ error }) => error.code === "AGENT A_PROHIBITED");
  await victim.send("x", "waits");
  await victim.agent.delete("x");
  await until(() => [...queues.records()].length === 1);
  assert(victim.events.every(({ type }) => type !== "message" && type !== "sent"));
});

Deno.test("when the joiner's queue is gone, what waits for the session is given up, whatever else it says", async () => {
  await using server = await startServer();
  await using initiator = await TestAgent.start(server.address, sessions);
  const { invitation } = await initiator.agent.create("x");
  await using joiner = await HostileAgent.connect(invitation);
  await joiner.key();
  const { publicKey: verificationKey } = hostileKeys[1]!;
  const hello = () => joiner.message({ type: "HELLO", verificationKey, noAck: false, ...head(1000) });
  await until(() => hello().then(() => true, () => false));
  const { publicKey: encryptionKey } = await keyOf("client", "decrypt");
  const queueInfo = { server: invitation.server, senderId: "AAAAAAAAAAAA", encryptionKey };
  await joiner.message({ type: "REPLY", queueInfo, ...head(2000) });
  await initiator.next("error", ({ error }) => error.code === "SMP AUTH");
  const send = () => initiator.send("x", "lost").then(() => null, (error) => error.code);
  assertEquals(await send(), "CONN SIMPLEX");
  const route = routeRecord(3, {
    server: formatAddress(invitation.server),
    ...senderKeyPrimes(storedKeys[0]!.privateKey),
  });
  const upgrade = encodeJoinerUpgrade({ pair: await generateRatchetPair(), route });
  await joiner.message({ type: "UPG", upgrade, ...head(3000, new Uint8Array(0)) });
  await until(() => initiator.agent.safetyCode("x") !== null);
  assertEquals(await send(), "CONN SIMPLEX");
});
