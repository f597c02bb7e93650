import { assertEquals } from "@std/assert";
import { Connections } from "../../../agent/core/connections.ts";
import { MemoryStore, type MessageRecord, StoreError } from "../../../agent/mod.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import { Events } from "../../../agent/runtime/events.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { fullConnection, put, putMessage } from "../store/samples.ts";

/** A store that cannot read the first message of connection "a". */
class DamagedStore extends MemoryStore {
  isDamaged = true;

  override message(connection: string, id: number): Promise<MessageRecord | null> {
    if (!this.isDamaged || connection !== "a" || id !== 1) return super.message(connection, id);
    return Promise.reject(new StoreError("READ", "Cannot read the store: what it holds was changed"));
  }
}

Deno.test("behind a message that cannot be read others of its connection wait, and no other's", async () => {
  const store = new DamagedStore();
  const connections = new Connections();
  for (const id of ["a", "b"]) {
    connections.set(fullConnection(id));
    await store.commit([...put(fullConnection(id)), putMessage(id, 1), putMessage(id, 3)]);
  }
  const context = { store, connections, retry: { first: 1, most: 1 } } as unknown as AgentContext;
  const options = { isManual: false, room: 10, log: new EventLog() };
  // Nothing is taken.
  await using events = new Events(context, null as unknown as Interpreter, options);
  const messages = [["a", 1], ["a", 3], ["b", 1], ["b", 3]] as const;
  messages.forEach(([connection, id], i) =>
    events.add({ id: i + 1, connection, event: { type: "message", id } })
  );
  const reader = events.read({ take: "manual" });
  const next = async () => {
    const { value: event } = await reader.next();
    return event?.type === "message" ? `${event.connection} ${event.message.id}` : event?.type;
  };
  assertEquals([await next(), await next(), await next()], ["alias of b 1", "alias of b 3", "error"]);
  store.isDamaged = false;
  assertEquals([await next(), await next()], ["alias of a 1", "alias of a 3"]);
});
