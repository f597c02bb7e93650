import { assert, assertEquals } from "@std/assert";
import { encodeAgentMessage } from "../../agent/kinds/mod.ts";
import { makePublicKey, type PublicKey, SmpError } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { mutate, randomOf } from "../fuzz/mutate.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { HostileAgent, hostileKeys } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

/** Sends one of a hostile peer's messages. */
type Attack = (hostile: HostileAgent, i: number) => Promise<void>;

/** A key with random numbers, which nobody can sign with. */
function keyOf(bits: number, exponentBits: number): PublicKey {
  const random = randomOf(bits + exponentBits);
  const number = (bits: number) => {
    let value = 1n;
    for (let i = 1; i < bits; i++) value = value << 1n | (random() < 0.5 ? 1n : 0n);
    return value | 1n;
  };
  return makePublicKey(number(bits), exponentBits === 17 ? 65537n : number(exponentBits));
}

const costly = keyOf(2048, 1024);
const poison = [2, 1023, 1025, 2056, 8192].map((bits) => keyOf(bits, 17));
const head = (i: number) => ({ id: 0, timestamp: new Date(i), previousHash: new Uint8Array(0) });
const hello = (verificationKey: PublicKey, i: number) =>
  ({ type: "HELLO", verificationKey, noAck: false, ...head(i) }) as const;

/** What a peer can do before it has confirmed, and after it has said HELLO. */
const before: Record<string, Attack> = {
  junk: (hostile, i) => hostile.body(new Uint8Array(3000).fill(i)),
  short: (hostile, i) => hostile.body(Uint8Array.of(i)),
  unparsable: (hostile, i) => hostile.plaintext(textBytes(`\n${i}\n\n`)),
  poisonKeys: (hostile, i) => hostile.message({ type: "KEY", senderKey: poison[i % poison.length]! }),
  outOfOrder: (hostile, i) => hostile.hello(undefined, i),
  poisonHello: (hostile, i) => hostile.message(hello(poison[i % poison.length]!, i)),
};
const secured: Record<string, Attack> = {
  costlyHello: (hostile, i) => hostile.message(hello(costly, i)),
  forgedHello: (hostile, i) => hostile.hello({ signingKey: hostileKeys[2]!.privateKey }, i),
};
const valid = [
  encodeAgentMessage({ type: "MSG", body: textBytes("hello"), ...head(1) }),
  encodeAgentMessage(hello(hostileKeys[1]!.publicKey, 1)),
];
const words = ["KEY ", "HELLO ", "REPLY ", "MSG ", "smp::", "\n", " ", "5"];
const active: Record<string, Attack> = {
  forged: (hostile, i) => hostile.text(`${i}`, { signingKey: hostileKeys[2]!.privateKey }),
  repeated: (hostile) => hostile.text("again", { id: 1, previousHash: new Uint8Array(0) }),
  gaps: (hostile, i) => hostile.text(`${i}`, { id: 1_000_000 - i }),
  secondHello: (hostile, i) => hostile.hello(undefined, 2000 + i),
  mutated: (hostile, i) =>
    hostile.plaintext(
      mutate(valid[i % 2]!, valid[(i + 1) % 2]!, { words, random: randomOf(i) }).slice(0, 2000),
    ),
};

Deno.test("a friend's messages flow while every kind of hostile peer sends whatever a server takes", async () => {
  await using server = await startServer({
    limits: { handshakesPerSecondPerIp: 0, newQueuesPerHourPerIp: 0 },
  });
  const keys = () => server.metrics.commands.get("KEY OK") ?? 0;
  await using victim = await TestAgent.start(server.address);
  await using friend = await TestAgent.start(server.address);
  await connectAgents(victim, friend, ["friend", "victim"]);
  const stop = new AbortController();
  await using hostiles = new AsyncDisposableStack();
  const counts = new Map<string, number>();
  const attacks: [string, HostileAgent, Attack][] = [];
  for (const [stage, all] of [before, secured, active].entries()) {
    for (const [name, attack] of Object.entries(all)) {
      const { invitation } = await victim.agent.create(name);
      const hostile = hostiles.use(await HostileAgent.connect(invitation));
      if (stage > 0) {
        const count = keys();
        await hostile.key();
        await until(() => keys() > count);
      }
      if (stage > 1) await hostile.hello();
      attacks.push([name, hostile, attack]);
    }
  }
  const accepted = server.metrics.connectionsAccepted;
  const flood = async (name: string, hostile: HostileAgent, attack: Attack) => {
    for (let i = 1; !stop.signal.aborted; i++) {
      try {
        await attack(hostile, i);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      } catch (error) {
        // Its own queue is full: only that.
        if (!(error instanceof SmpError && error.code === "QUOTA")) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  };
  const floods = Promise.all(attacks.map((attack) => flood(...attack)));
  // Whatever fails first is told first.
  floods.catch(() => {});
  await until(() => counts.size === attacks.length);
  const count = 50;
  const handled = () => victim.agent.connections().reduce((sum, { unreadable }) => sum + unreadable, 0);
  const handledBefore = handled();
  await Promise.all(Array.from({ length: count }, (_, i) => friend.send("victim", `${i}`)));
  for (let i = 0; i < count; i++) assertEquals(await victim.text("friend"), `${i}`);
  // The hostile ones were not done before: they were, and are, being handled.
  const handledNow = handled();
  assert(handledNow > handledBefore, `${handledNow} unreadable messages, ${handledBefore} before`);
  await until(() => handled() > handledNow);
  stop.abort();
  await soon(floods);
  assertEquals(server.metrics.connectionsAccepted, accepted);
  for (const { events } of [victim, friend]) {
    assertEquals(
      events.filter((event) =>
        "connection" in event && event.connection === "friend" || event.type === "down"
      ),
      [],
    );
  }
  assertEquals(victim.agent.connections().length, attacks.length + 1);
  await victim.send("friend", "and back");
  assertEquals(await friend.text("victim"), "and back");
});
