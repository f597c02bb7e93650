import { assertEquals } from "@std/assert";
import { formatQueueInfo } from "../../../mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

Deno.test("joining waits while the joiner's own server makes no queues, and says so", async () => {
  await using server = await startServer();
  await using refusing = await startServer({ limits: { newQueues: 0 } });
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(refusing.address);
  const { invitation } = await a.agent.create("b");
  await b.agent.join(formatQueueInfo(invitation), { alias: "a" });
  const { error, connection } = await b.next("error");
  assertEquals([connection, error.code], ["a", "SMP AUTH"]);
  b.agent.setServers([server.address]);
  await Promise.all([a.next("connected"), b.next("connected")]);
  assertEquals(b.events.filter(({ type }) => type === "error"), []);
});
