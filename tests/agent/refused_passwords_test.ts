import { assert, assertEquals, assertRejects } from "@std/assert";
import { newQueue } from "../../agent/runtime/new_queue.ts";
import { Making } from "../../agent/runtime/making.ts";
import { RefusedPasswords } from "../../agent/runtime/refused_passwords.ts";
import { SmpClient, SmpError } from "../../mod.ts";
import { parseAddress } from "../../protocol/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { keysOf } from "../support/test_keys.ts";
import { soon } from "../support/wait.ts";

Deno.test("a password that a server has refused is not shown to it again for a time, another one is", async () => {
  await using server = await startServer({ create: { password: "right" } });
  await using client = await SmpClient.connect(server.address, { password: () => password });
  const [keyPair] = await keysOf("client", "sign");
  assert(keyPair !== undefined);
  let [now, password] = [0, "wrong"];
  const context = {
    making: new Making(),
    password: () => password,
    refusedPasswords: new RefusedPasswords(() => now),
  };
  const make = () => newQueue(context, { server: parseAddress(server.address), client, keyPair });
  const shown = () => server.metrics.commands.get("PASS ERR AUTH");
  const refused = () => assertRejects(() => soon(make()), SmpError, "the password is not that of the server");
  for (const [at, times] of [[0, 1], [29_999, 1], [30_000, 2], [59_999, 2]] as const) {
    now = at;
    await refused();
    assertEquals(shown(), times);
  }
  password = "right";
  await soon(make());
  password = "wrong";
  await refused();
  assertEquals(shown(), 2);
});

Deno.test("a password that is right again is shown at once where NEW alone was refused", async () => {
  await using server = await startServer({ create: { password: "right" } });
  await using alice = await TestAgent.start(`right@${server.address}`);
  await soon(alice.agent.create("a"));
  server.setCreate({ password: "other" });
  await assertRejects(() => soon(alice.agent.create("b")), Error, "its password has changed");
  server.setCreate({ password: "right" });
  await soon(alice.agent.create("b"));
});

Deno.test("an agent gives a wrong password once, however often its queues are asked for", async () => {
  await using server = await startServer({ create: { password: "right" } });
  await using alice = await TestAgent.start(`wrong@${server.address}`);
  for (let i = 0; i < 5; i++) {
    await assertRejects(() => soon(alice.agent.create("a")), Error, "the password is not that of the server");
  }
  assertEquals(server.metrics.commands.get("PASS ERR AUTH"), 1);
  alice.agent.setServers([`right@${server.address}`]);
  await soon(alice.agent.create("a"));
});

Deno.test("a server that wants no password and takes no queues is not connected to again and again", async () => {
  await using server = await startServer({ create: { addresses: ["192.0.2.1"] } });
  const [keyPair] = await keysOf("client", "sign");
  assert(keyPair !== undefined);
  let now = 0;
  const context = {
    making: new Making(),
    password: () => "any",
    refusedPasswords: new RefusedPasswords(() => now),
  };
  const hasClosed: boolean[] = [];
  for (const at of [0, 1, 599_999, 600_000, 600_001]) {
    now = at;
    await using client = await SmpClient.connect(server.address);
    const make = newQueue(context, { server: parseAddress(server.address), client, keyPair });
    await assertRejects(() => soon(make), SmpError, "takes no new queues");
    hasClosed.push(await client.ping().then(() => false, () => true));
  }
  assertEquals(hasClosed, [true, false, false, true, false]);
});
