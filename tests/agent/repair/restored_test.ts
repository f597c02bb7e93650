import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../agent/mod.ts";
import { connected, reasonsOf, type Restorable, talk, textsOf, untilText } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { together } from "../../support/together.ts";

type Pair = { readonly alice: Restorable; readonly bob: Restorable };

const code = ({ agent, other }: Restorable) => agent.agent.safetyCode(other);
const isVerified = ({ agent, other }: Restorable) => agent.agent.connection(other).session?.verified;

const roles = ["initiator", "joiner"] as const;

/** The restored side of a pair, and the other one. */
const of = (role: typeof roles[number], { alice, bob }: Pair) =>
  role === "initiator" ? [alice, bob] as const : [bob, alice] as const;

Deno.test("a side is restored from a backup: the session goes on, and both are told", () =>
  together(roles, async (role) => {
    await using server = await startServer();
    const pair = await connected(server);
    await using _alice = pair.alice;
    await using _bob = pair.bob;
    const [restored, other] = of(role, pair);
    await talk(pair.alice, pair.bob, "1", "2");
    for (const { agent, other } of [pair.alice, pair.bob]) await agent.agent.verify(other);
    const backup = await restored.backup();
    await talk(pair.alice, pair.bob, "3", "4", "5");
    const before = code(restored);
    await restored.restore(backup);
    await restored.send("new 1");
    await other.send("new 2");
    await restored.send("new 3");
    await untilText(restored, "new 2");
    await untilText(other, "new 3");
    await talk(pair.alice, pair.bob, "6", "7");
    // What the backup does not have is told to be missing.
    assertEquals(textsOf(restored), ["new 2 type:NO_ID,from:3,to:5"]);
    assertEquals(textsOf(other), ["new 1", "new 3"]);
    for (const side of [restored, other]) {
      assertEquals(reasonsOf(side).filter((reason) => reason === "session repaired").length, 1);
      assertEquals(isVerified(side), false);
    }
    assertEquals(code(restored), code(other));
    assert(code(restored) !== before);
    // Who has compared the code of before has not compared this one.
    const { agent } = restored.agent;
    const late = await assertRejects(() => agent.verify(restored.other, before!), AgentError);
    assertEquals([late.code, isVerified(restored)], ["CMD PROHIBITED", false]);
    await agent.verify(restored.other, code(restored)!);
    assertEquals(isVerified(restored), true);
  }));

Deno.test("a side is restored: what is on its way both ways comes once and in order", () =>
  together(roles, async (role) => {
    await using server = await startServer();
    const pair = await connected(server);
    await using _alice = pair.alice;
    await using _bob = pair.bob;
    const [restored, other] = of(role, pair);
    await talk(pair.alice, pair.bob, "1");
    // In the backup are messages of both that the other has not got.
    await other.stop();
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push(await restored.send(`kept ${i}`));
    const backup = await restored.backup();
    for (const id of ids) await restored.agent.next("sent", (event) => event.id === id);
    await restored.stop();
    await other.start();
    for (let i = 0; i < 5; i++) await untilText(other, `kept ${i}`);
    for (let i = 0; i < 5; i++) {
      const id = await other.send(`waits ${i}`);
      await other.agent.next("sent", (event) => event.id === id);
    }
    await restored.start();
    await talk(pair.alice, pair.bob, "2");
    await restored.restore(backup);
    for (let i = 0; i < 5; i++) await Promise.all([restored.send(`after ${i}`), other.send(`after ${i}`)]);
    await untilText(other, "after 4");
    await untilText(restored, "after 4");
    const after = Array.from({ length: 5 }, (_, i) => `after ${i}`);
    assertEquals(textsOf(other), [...Array.from({ length: 5 }, (_, i) => `kept ${i}`), ...after]);
    const [first, ...rest] = textsOf(restored);
    assertEquals([first?.slice(0, 7), ...rest], after);
  }));

Deno.test("both are restored, from backups of different days", async () => {
  await using server = await startServer();
  const { alice, bob } = await connected(server);
  await using _alice = alice;
  await using _bob = bob;
  await talk(alice, bob, "1");
  const older = await alice.backup();
  await talk(alice, bob, "2", "3");
  const newer = await bob.backup();
  await talk(alice, bob, "4", "5");
  await Promise.all([alice.stop(), bob.stop()]);
  await Promise.all([alice.start(older), bob.start(newer)]);
  for (let i = 0; i < 4; i++) await Promise.all([alice.send(`a${i}`), bob.send(`b${i}`)]);
  await untilText(alice, "b3");
  await untilText(bob, "a3");
  await talk(alice, bob, "6");
  assertEquals(textsOf(bob), ["a0", "a1", "a2", "a3"]);
  assertEquals(textsOf(alice), ["b0 type:NO_ID,from:2,to:3", "b1", "b2", "b3"]);
  assertEquals(code(alice), code(bob));
});
