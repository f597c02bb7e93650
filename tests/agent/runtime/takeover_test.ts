import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { loadPrivateKey } from "../../../protocol/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { connect, startServer } from "../../support/server.ts";
import { soon } from "../../support/wait.ts";

Deno.test("a message that was acknowledged while another program had the queue is acknowledged when that is back", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  await using b = await TestAgent.start(server.address, { store, acknowledge: "manual" });
  await connectAgents(a, b);
  await a.send("b", "one");
  const { message } = await b.next("message");
  const { recipientId, senderId, recipientKey } = (await store.connections())[0]!.receiving[0]!.keys;
  {
    await using other = await connect(server);
    await other.subscribe({
      recipientId,
      senderId,
      recipientKey: await loadPrivateKey(recipientKey, "sign"),
    });
    await b.next("end");
    // Its server does not take it from who is not subscribed.
    await b.agent.acknowledge("a", message.id);
  }
  await soon(b.agent.subscribe("a"));
  await a.send("b", "two");
  assertEquals(await b.text(), "two");
});
