import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore, type StoreChange, StoreError } from "../../agent/mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** A store on a disk that can be full. */
class FullStore extends MemoryStore {
  isFull = false;
  /** Commits that have failed. */
  failures = 0;

  override commit(changes: readonly StoreChange[]): Promise<void> {
    if (!this.isFull) return super.commit(changes);
    this.failures++;
    return Promise.reject(new StoreError("WRITE", "Cannot write to the store: the disk is full"));
  }
}

Deno.test("while the receiver's disk is full messages wait at the server, and come when there is room", async () => {
  await using server = await startServer({ limits: { handshakesPerSecondPerIp: 0 } });
  const store = new FullStore();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { store });
  await connectAgents(a, b);
  store.isFull = true;
  for (const text of ["one", "two", "three"]) await a.send("b", text);
  for (let id = 1; id <= 3; id++) await a.next("sent");
  await until(() => store.failures > 2);
  assert((await b.next("error")).error.message.includes("disk is full"));
  assertEquals(server.gauges().messages, 3);
  store.isFull = false;
  for (const text of ["one", "two", "three"]) assertEquals(await b.text(), text);
  assertEquals(b.events.filter(({ type }) => type === "message"), []);
});

Deno.test("while the sender's disk is full a message is refused, and one on its way is not sent twice", async () => {
  await using server = await startServer();
  const store = new FullStore();
  await using a = await TestAgent.start(server.address, { store });
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  await a.send("b", "one");
  // Stored, but that it was sent cannot be.
  store.isFull = true;
  assertEquals(await b.text(), "one");
  const error = await assertRejects(() => a.send("b", "two"), AgentError);
  assertEquals(error.code, "INTERNAL");
  await until(() => store.failures > 2);
  store.isFull = false;
  await a.next("sent");
  assertEquals(await a.send("b", "three"), 2);
  assertEquals(await b.text(), "three");
  assertEquals(b.events, []);
});
