import { assert, assertEquals } from "@std/assert";
import { readBackup, writeBackup } from "../../../agent/backup.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import {
  connected,
  connectedOver,
  reasonsOf,
  type Restorable,
  talk,
  textsOf,
  untilText,
} from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { together } from "../../support/together.ts";
import { until } from "../../support/wait.ts";

type Pair = { readonly alice: Restorable; readonly bob: Restorable };

const roles = ["initiator", "joiner"] as const;

/** The restored side of a pair, and the other one. */
const of = (role: typeof roles[number], { alice, bob }: Pair) =>
  role === "initiator" ? [alice, bob] as const : [bob, alice] as const;

/** Both sides talk again after one was restored. */
async function goOn({ alice, bob }: Pair, restored: Restorable): Promise<void> {
  await Promise.all([alice.send("new"), bob.send("new")]);
  await untilText(alice, "new");
  await untilText(bob, "new");
  await until(() => reasonsOf(restored).includes("session repaired"));
  await talk(alice, bob, "after");
}

Deno.test("a backup that was exported and imported goes on", async () => {
  await using server = await startServer();
  const pair = await connected(server);
  await using alice = pair.alice;
  await using bob = pair.bob;
  await talk(alice, bob, "1");
  const options = { passphrase: "correct horse", iterations: 10 };
  const file = new Uint8Array(await new Response(writeBackup(alice.store, options)).arrayBuffer());
  await talk(alice, bob, "2");
  await alice.stop();
  const imported = new MemoryStore();
  await readBackup(imported, new Blob([file]).stream(), options);
  await alice.start(imported);
  await goOn(pair, alice);
});

Deno.test("a copy of a database file goes on, also when its agent is started again before it is repaired", async () => {
  await using server = await startServer();
  const pair = await connected(server);
  await using alice = pair.alice;
  await using bob = pair.bob;
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/agent.db`, copy = `${folder}/copy.db`;
    const store = await SqliteStore.open(path);
    for await (const change of bob.store.snapshot()) await store.commit([change]);
    await bob.restore(store);
    await talk(alice, bob, "1");
    await bob.stop();
    await Deno.copyFile(path, copy);
    await bob.start(await SqliteStore.open(path));
    await talk(alice, bob, "2", "3");
    await bob.stop();
    await alice.stop();
    for (const text of ["early 1", "early 2"]) {
      await bob.start(await SqliteStore.open(copy));
      const id = await bob.send(text);
      await bob.agent.next("sent", (event) => event.id === id);
      await bob.stop();
    }
    await alice.start();
    await bob.start(await SqliteStore.open(copy));
    await goOn(pair, bob);
    assertEquals(textsOf(alice), ["early 1", "early 2", "new"]);
    assertEquals(bob.agent.events.filter(({ type }) => type === "sent").length, 2);
  } finally {
    await bob.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a side is restored to between a message and its receipt, and uses the same keys again", () =>
  together(roles, async (role) => {
    await using server = await startServer();
    const pair = await connected(server);
    await using _alice = pair.alice;
    await using _bob = pair.bob;
    const [restored, other] = of(role, pair);
    await talk(pair.alice, pair.bob, "1");
    await other.stop();
    const send = async (text: string) => {
      const id = await restored.send(text);
      await restored.agent.next("sent", (event) => event.id === id);
    };
    await send("kept");
    const backup = await restored.backup();
    for (const text of ["lost 1", "lost 2"]) await send(text);
    await restored.restore(backup);
    for (const text of ["new 1", "new 2", "new 3"]) await send(text);
    // What was lost is receipted before the other side has seen what is new, under the same numbers, or after.
    await other.start();
    await untilText(other, "new 3");
    await talk(pair.alice, pair.bob, "2");
    assertEquals(textsOf(other), ["kept", "lost 1", "lost 2", "new 1", "new 2", "new 3"]);
    assert(reasonsOf(other).includes("session repaired"));
  }));

Deno.test("a side is restored where both have two routes", () =>
  together(roles, async (role) => {
    await using one = await startServer();
    await using two = await startServer();
    const addresses = [one.address, two.address];
    const pair = await connectedOver({ alice: addresses, bob: addresses }, { routes: 2 });
    await using _alice = pair.alice;
    await using _bob = pair.bob;
    const [restored, other] = of(role, pair);
    const routes = ({ agent, other }: Restorable) =>
      agent.agent.connection(other).session!.servers.sending.length;
    await until(() => routes(restored) === 2 && routes(other) === 2);
    await talk(pair.alice, pair.bob, "1");
    const backup = await restored.backup();
    await talk(pair.alice, pair.bob, "2", "3");
    await restored.restore(backup);
    for (const text of ["new 1", "new 2"]) await Promise.all([restored.send(text), other.send(text)]);
    await untilText(restored, "new 2");
    await untilText(other, "new 2");
    await talk(pair.alice, pair.bob, "4");
    assertEquals(textsOf(other), ["new 1", "new 2"]);
    assertEquals(reasonsOf(restored).filter((reason) => reason === "session repaired").length, 1);
  }));

Deno.test("what a restored side had in work since its start, and has sent after the backup, comes once", () =>
  together(roles, async (role) => {
    await using server = await startServer();
    const pair = await connected(server);
    await using _alice = pair.alice;
    await using _bob = pair.bob;
    const [restored, other] = of(role, pair);
    await talk(pair.alice, pair.bob, "1");
    await other.stop();
    // Nothing tells this life of it that its messages have come.
    await restored.restore(restored.store);
    for (const text of ["kept 1", "kept 2"]) await restored.send(text);
    const backup = await restored.backup();
    await other.start();
    for (const text of ["kept 1", "kept 2"]) await untilText(other, text);
    await talk(pair.alice, pair.bob, "2", "3");
    await restored.restore(backup);
    for (const text of ["new 1", "new 2"]) {
      await Promise.all([restored.send(text), other.send(text)]);
    }
    await untilText(other, "new 2");
    await talk(pair.alice, pair.bob, "4");
    assertEquals(textsOf(other), ["kept 1", "kept 2", "new 1", "new 2"]);
    await until(() => restored.agent.events.filter(({ type }) => type === "delivered").length >= 4);
  }));
