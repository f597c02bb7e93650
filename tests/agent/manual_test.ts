import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../agent/mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

// In the mode `manual` a message is the application's when that has acknowledged it, and not before.

for (const count of [10, 110]) {
  Deno.test(`a message that is not acknowledged is told again though ${count} others were sent meanwhile`, async () => {
    await using server = await startServer();
    await using a = await TestAgent.start(server.address);
    const store = new MemoryStore();
    {
      await using b = await TestAgent.start(server.address, { acknowledge: "manual", store });
      await connectAgents(a, b);
      await a.send("b", "important");
      assertEquals((await b.next("message")).message.id, 1);
      for (let i = 0; i < count; i++) await b.send("a", `${i}`);
      await b.next("sent", ({ id }) => id === count + 1);
      // The server delivers it again on the same connection.
      await b.agent.subscribe("a");
      assertEquals(await b.text("a"), "important");
      await until(() => server.gauges().messages === 1);
    }
    await using b = await TestAgent.start(server.address, { acknowledge: "manual", store });
    assertEquals(await b.text("a"), "important");
    await b.agent.subscribe("a");
    assertEquals(await b.text("a"), "important");
    await until(() => server.gauges().messages === 1);
    await b.agent.acknowledge("a", 1);
    await until(() => server.gauges().messages === 0);
    await a.send("b", "next");
    assertEquals(await b.text("a"), "next");
    assertEquals(b.events.filter(({ type }) => type === "message"), []);
    assertEquals((await b.agent.messages("a", { before: 2 })).map(({ done }) => done), [true]);
  });
}

Deno.test("a message that is acknowledged before its connection is subscribed to is not told again", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  {
    await using b = await TestAgent.start(server.address, { acknowledge: "manual", store });
    await connectAgents(a, b);
    for (const text of ["one", "two"]) await a.send("b", text);
    assertEquals(await b.text(), "one");
  }
  await using b = await TestAgent.start(server.address, { acknowledge: "manual", store });
  assertEquals(await b.text(), "one");
  await b.agent.acknowledge("a", 1);
  await b.agent.acknowledge("a", 1);
  await b.agent.subscribe("a");
  assertEquals(await b.text(), "two");
  assertEquals(b.events.filter(({ type }) => type === "message"), []);
});

Deno.test("a message that is delivered again and again is still there, and acknowledged once", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { acknowledge: "manual" });
  await connectAgents(a, b);
  for (const text of ["one", "two", "three"]) await a.send("b", text);
  const { message } = await b.next("message");
  // Each SUB brings another copy of it.
  for (let i = 0; i < 5; i++) {
    await b.agent.subscribe("a");
    assertEquals((await b.next("message")).message.id, message.id);
  }
  await b.agent.acknowledge("a", message.id);
  assertEquals(await b.text(), "two");
  await until(() => server.gauges().messages === 2);
  await b.agent.acknowledge("a", message.id + 1);
  assertEquals(await b.text(), "three");
});
