import { assert, assertEquals } from "@std/assert";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

Deno.test("two agents that announce sessions send through one, and learn what was delivered", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, session);
  await using bob = await TestAgent.start(server.address, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  const id = await alice.send("bob", "hello");
  assertEquals(await bob.text(), "hello");
  await alice.next("sent", (event) => event.id === id);
  await alice.next("delivered", (event) => event.id === id);
  for (let i = 0; i < 20; i++) await bob.send("alice", `${i}`);
  for (let i = 0; i < 20; i++) assertEquals(await alice.text(), `${i}`);
  const body = crypto.getRandomValues(new Uint8Array(65_536));
  const large = new Uint8Array(1024 * 1024);
  for (let at = 0; at < large.length; at += body.length) large.set(body, at);
  await alice.agent.send("bob", large);
  const { message } = await bob.next("message");
  assertEquals(message.body.length, large.length);
  assertEquals(message.integrity.type, "OK");
  assert(message.body.every((byte, i) => byte === large[i]));
});
