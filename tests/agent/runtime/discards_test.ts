import { assertEquals } from "@std/assert";
import { systemClock } from "../../../agent/clock.ts";
import { deadlinesFrom } from "../../../agent/deadlines.ts";
import { MemoryStore, type StoreChange } from "../../../agent/mod.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import { Discards } from "../../../agent/runtime/discards.ts";
import { until } from "../../support/wait.ts";
import { farewell } from "../store/samples.ts";

Deno.test("the other side of a deleted connection is told once by a route, however long the own store is full", async () => {
  let failures = 3, sent = 0;
  const store = new class extends MemoryStore {
    override commit(changes: readonly StoreChange[]): Promise<void> {
      return failures-- > 0 ? Promise.reject(new Error("it is full")) : super.commit(changes);
    }
  }();
  const client = { send: () => Promise.resolve(void sent++) };
  await using discards = new Discards({
    store,
    servers: { client: () => Promise.resolve(client) },
    keys: { signing: () => Promise.resolve({}) },
    signal: new AbortController().signal,
    deadlines: deadlinesFrom(0, systemClock),
    discardTimeout: 1000,
    retry: { first: 1, most: 1 },
  } as unknown as AgentContext);
  const left = { ...farewell("gone"), giveUpAt: 1000 };
  void discards.discard(left);
  await until(() => failures < 0);
  assertEquals(sent, 1);
});
