import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../agent/mod.ts";
import { makePublicKey } from "../../protocol/mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { HostileAgent, hostileKeys } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const flood = 30, count = 15;
const oddKey = makePublicKey(2n ** 2055n + 1n, 65537n);
const costlyKey = makePublicKey(2n ** 2047n + 1n, 2n ** 1023n + 1n);
const unnumbered = (at: number) => ({ id: 0, timestamp: new Date(at), previousHash: new Uint8Array(0) });

/** Hostile peers: how far each goes by the procedure, and what it floods its queue with then. */
const peers: Record<string, {
  readonly goesTo: "invitation" | "KEY" | "HELLO";
  readonly send: (hostile: HostileAgent, i: number) => Promise<void>;
}> = {
  junk: { goesTo: "invitation", send: (hostile, i) => hostile.body(new Uint8Array(3000).fill(i)) },
  "keys that no server takes": {
    goesTo: "invitation",
    send: (hostile) => hostile.message({ type: "KEY", senderKey: oddKey }),
  },
  "keys that are costly to use": {
    goesTo: "KEY",
    send: (hostile, i) =>
      hostile.message({ type: "HELLO", verificationKey: costlyKey, noAck: false, ...unnumbered(i) }),
  },
  "forged signatures": {
    goesTo: "HELLO",
    send: (hostile, i) => hostile.text(`${i}`, { signingKey: hostileKeys[2]!.privateKey }),
  },
  repetitions: {
    goesTo: "HELLO",
    send: (hostile) => hostile.text("again", { id: 1, previousHash: new Uint8Array(0) }),
  },
  "messages that are not allowed": {
    goesTo: "HELLO",
    send: (hostile, i) =>
      i % 2 === 0
        ? hostile.hello(undefined, 5000 + i)
        : hostile.message({ type: "KEY", senderKey: hostileKeys[1 + i % 2]!.publicKey }),
  },
};

Deno.test("a friend's messages come in order and at once beside all hostile peers, and none of those costs the connection", async () => {
  await using server = await startServer({ limits: { messagesPerQueue: 1000 } });
  await using friend = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const names = Object.keys(peers);
  await using hostiles = new AsyncDisposableStack();
  const floods: (() => Promise<void>)[] = [];
  {
    await using victim = await TestAgent.start(server.address, { store });
    await connectAgents(victim, friend, ["friend", "a"]);
    for (const name of names) {
      const { goesTo, send } = peers[name]!;
      const { invitation } = await victim.agent.create(name);
      const hostile = hostiles.use(await HostileAgent.connect(invitation));
      const secured = () => server.metrics.commands.get("KEY OK") ?? 0;
      const before = secured();
      if (goesTo !== "invitation") {
        await hostile.key();
        await until(() => secured() > before);
      }
      if (goesTo === "HELLO") await hostile.hello();
      floods.push(async () => {
        for (let i = 0; i < flood; i++) await send(hostile, i);
      });
    }
    await until(() => server.gauges().messages === 0);
  }
  await Promise.all(floods.map((send) => send()));
  for (let i = 0; i < count; i++) await friend.send("a", `${i}`);
  await friend.next("sent", ({ id }) => id === count);
  const before = server.metrics.connectionsAccepted;
  await using victim = await TestAgent.start(server.address, { store });
  await victim.agent.subscribeAll();
  for (let i = 0; i < count; i++) {
    const { message } = await victim.next("message", ({ connection }) => connection === "friend");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [`${i}`, { type: "OK" }]);
  }
  const left = server.gauges().messages;
  assert(left > names.length * flood / 3, `${left} of ${names.length * flood} hostile messages are left`);
  // They hold up nobody, and themselves neither.
  await until(() => server.gauges().messages === 0);
  assertEquals(server.metrics.connectionsAccepted, before + 1);
  assertEquals(victim.events.filter(({ type }) => type === "down"), []);
  await friend.send("a", "still here");
  assertEquals(await victim.text("friend"), "still here");
});
