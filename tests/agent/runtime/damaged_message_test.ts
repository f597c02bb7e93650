import { assertEquals } from "@std/assert";
import { MemoryStore, type MessageRecord, StoreError } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

/** A store that cannot read the messages of one connection. */
class DamagedStore extends MemoryStore {
  damaged: string | null = null;

  override message(connection: string, id: number): Promise<MessageRecord | null> {
    if (connection !== this.damaged) return super.message(connection, id);
    return Promise.reject(new StoreError("READ", "Cannot read the store: what it holds was changed"));
  }
}

Deno.test("a message that cannot be read from the store holds up its own connection, until it can be", async () => {
  await using server = await startServer({ limits: { handshakesPerSecondPerIp: 0 } });
  const store = new DamagedStore();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { store });
  await connectAgents(a, b, ["b1", "a1"]);
  await connectAgents(a, b, ["b2", "a2"]);
  store.damaged = (await store.connections())[0]!.record.id;
  await a.send("b1", "damaged");
  const { connection, error } = await b.next("error");
  assertEquals([connection, error.code], ["a1", "INTERNAL"]);
  for (const text of ["one", "two"]) {
    await a.send("b2", text);
    assertEquals(await b.text("a2"), text);
  }
  store.damaged = null;
  assertEquals(await b.text("a1"), "damaged");
});
