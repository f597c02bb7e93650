import { assertEquals } from "@std/assert";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

for (
  const [how, fail] of [
    ["throws", () => {
      throw new Error("no");
    }],
    ["rejects", () => Promise.reject(new Error("no"))],
  ] as const
) {
  Deno.test(`an approval that ${how} is asked for again, and holds up its own connection alone`, async () => {
    await using server = await startServer();
    let asked = 0, isFailing = true;
    await using a = await TestAgent.start(server.address, {
      approve: ({ connection }) => {
        if (connection !== "x") return true;
        asked++;
        return isFailing ? fail() : true;
      },
    });
    await using friend = await TestAgent.start(server.address);
    await using joiner = await TestAgent.start(server.address);
    await connectAgents(a, friend);
    const before = server.metrics.connectionsAccepted;
    const { invitation } = await a.agent.create("x");
    await joiner.agent.join(invitation, { alias: "a" });
    await until(() => asked > 2);
    await friend.send("a", "not held up");
    assertEquals(await a.text("b"), "not held up");
    const { connection, error } = await a.next("error");
    assertEquals([connection, error.code], ["x", "INTERNAL"]);
    isFailing = false;
    await Promise.all([a.next("connected"), joiner.next("connected")]);
    // The joiner's.
    assertEquals(server.metrics.connectionsAccepted, before + 1);
    assertEquals(a.events.filter(({ type }) => type === "down" || type === "error"), []);
  });
}

Deno.test("an approval that never comes holds up its own connection alone, also closing and deleting do not wait", async () => {
  await using server = await startServer();
  const asked = new Set<string>();
  const a = await TestAgent.start(server.address, {
    approve: ({ connection }) => {
      if (connection === "b") return true;
      asked.add(connection);
      return new Promise(() => {});
    },
  });
  await using friend = await TestAgent.start(server.address);
  await using joiner = await TestAgent.start(server.address);
  await connectAgents(a, friend);
  for (const alias of ["x", "y"]) {
    const { invitation } = await a.agent.create(alias);
    await joiner.agent.join(invitation, { alias });
  }
  await until(() => asked.size === 2);
  await friend.send("a", "not held up");
  assertEquals(await a.text("b"), "not held up");
  await soon(a.agent.delete("x"));
  assertEquals(a.agent.connections().map(({ connection }) => connection), ["b", "y"]);
  await soon(a.agent.close());
});
