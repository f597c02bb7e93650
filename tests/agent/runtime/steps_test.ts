import { assertEquals, assertRejects } from "@std/assert";
import { deadlinesFrom } from "../../../agent/deadlines.ts";
import { systemClock } from "../../../agent/clock.ts";
import { changesBetween } from "../../../agent/core/changes.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { AgentError } from "../../../agent/protocol/error.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import { Steps } from "../../../agent/runtime/steps.ts";
import type { EventRecord, StoreChange } from "../../../agent/store/store.ts";
import { connectionIn, messages, receivedAs } from "../core/scenes.ts";

/** Steps of a connection whose store can fail. */
async function stepsOf() {
  let isFull = false;
  const store = new class extends MemoryStore {
    override commit(changes: readonly StoreChange[]): Promise<void> {
      return isFull ? Promise.reject(new Error("the disk is full")) : super.commit(changes);
    }
  }();
  const active = { receiving: "active", sending: "active" } as const;
  const connection = connectionIn({ role: "joiner", reply: true, ...active, connected: true });
  await store.commit(changesBetween(null, connection));
  const connections = new Connections();
  connections.set(connection);
  const log = new EventLog();
  const told: EventRecord[] = [];
  const deadlines = deadlinesFrom(0, systemClock);
  const steps = new Steps(
    { connections, store, announced: [], now: () => 0, deadlines, discardTimeout: 1 },
    log,
    { tell: (record) => told.push(record), taken() {} },
  );
  const fill = (full: boolean) => {
    isFull = full;
  };
  return { steps, store, connections, log, told, connection, fill };
}

Deno.test("a step that could not be stored was not made", async () => {
  const { steps, connections, log, told, connection, fill } = await stepsOf();
  const { id } = connection.record;
  const message = { ...messages.msg, id: 5 };
  const make = () => steps.make(id, { type: "received", route: "in", received: receivedAs(message) }, false);
  fill(true);
  await assertRejects(make, Error, "the disk is full");
  assertEquals([connections.find(id), told, log.ofMessage(id, 5)], [connection, [], undefined]);
  fill(false);
  await make();
  assertEquals(told.map(({ event }) => event.type), ["message"]);
});

Deno.test("errors that could not be stored take no room from those that are", async () => {
  const { steps, told, connection, fill } = await stepsOf();
  const error = new AgentError("AGENT A_MESSAGE", "it cannot be parsed");
  const make = (serverId: string) =>
    steps.make(connection.record.id, { type: "unreadable", route: "in", serverId, error }, false);
  fill(true);
  for (let i = 0; i < 101; i++) await assertRejects(() => make("bmV3"), Error, "the disk is full");
  fill(false);
  await make("bmV3");
  assertEquals(told.map(({ event }) => event.type), ["error"]);
});
