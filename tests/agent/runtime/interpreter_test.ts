import { assertEquals, assertRejects } from "@std/assert";
import { changesBetween } from "../../../agent/core/changes.ts";
import { newConnection, withReceiving } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { type Connection, MemoryStore } from "../../../agent/mod.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import { systemClock } from "../../../agent/clock.ts";
import { deadlinesFrom } from "../../../agent/deadlines.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import { decodePublicKey, SmpError } from "../../../mod.ts";
import { storedKeys } from "../../support/agent.ts";
import { turn } from "../../support/fake_server.ts";
import { messageRecord, sessionConnection } from "../store/samples.ts";
import { sampleReceiving } from "./samples.ts";

/** An interpreter of a connection that is stored, of which the application wants nothing. */
async function interpreterOf(connection: Connection, options: Partial<AgentContext> = {}) {
  const store = new MemoryStore();
  await store.commit(changesBetween(null, connection));
  const connections = new Connections();
  connections.set(connection);
  const context = {
    store,
    connections,
    announced: [],
    now: () => 0,
    deadlines: deadlinesFrom(0, systemClock),
    discardTimeout: 1,
    ...options,
  } as unknown as AgentContext;
  const ports = {
    tell() {},
    taken() {},
    acknowledge: () => Promise.resolve(),
    deliver() {},
    sendPackets() {},
    repeat() {},
    resume() {},
    look() {},
    stepped() {},
    sayRepair() {},
    drop() {},
    stream() {},
  };
  const interpreter = new Interpreter(context, await EventLog.load(store, 0), ports);
  return { interpreter, store, connections };
}

const received = {
  serverId: "1",
  serverAt: 0,
  hash: new Uint8Array(32),
  message: { type: "KEY", senderKey: decodePublicKey(storedKeys[0]!.publicKey) },
} as const;

Deno.test("an agent that is closed does not ask the application whom it lets in", async () => {
  const route = sampleReceiving("new");
  const empty = newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  const connection = withReceiving(empty, route);
  let asked = 0;
  const { interpreter } = await interpreterOf(connection, {
    signal: AbortSignal.abort(new DOMException("closed", "AbortError")),
    approve() {
      asked++;
      return Promise.reject(new Error("nobody is there to ask"));
    },
  });
  const happening = interpreter.do(connection.record.id, { type: "received", route: route.id, received });
  await assertRejects(() => happening, DOMException, "closed");
  await turn();
  assertEquals(asked, 0);
});

Deno.test("a confirmation waits for a server that fails, and is done with when that refuses it", async () => {
  const route = sampleReceiving("new");
  const empty = newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  let answer: "INTERNAL" | "AUTH" = "INTERNAL";
  const client = { secureQueue: () => Promise.reject(new SmpError(answer)) };
  const { interpreter, connections } = await interpreterOf(withReceiving(empty, route), {
    keys: new LoadedKeys(),
    servers: { client: () => Promise.resolve(client) } as unknown as AgentContext["servers"],
    signal: new AbortController().signal,
    approve: () => true,
  });
  const secure = (isRetry: boolean) =>
    interpreter.do(
      empty.record.id,
      isRetry
        ? { type: "received", route: route.id, received }
        : { type: "approved", route: route.id, received, isApproved: true },
    );
  const status = () => connections.find(empty.record.id)!.receiving[0]!.status;
  await assertRejects(() => secure(false), SmpError, "INTERNAL");
  assertEquals(status(), "confirmed");
  await assertRejects(() => secure(true), SmpError, "INTERNAL");
  assertEquals(status(), "confirmed");
  answer = "AUTH";
  await secure(true);
  assertEquals(status(), "secured");
});

Deno.test("a message is acknowledged by the number of its copy, although both are stored together", async () => {
  const { interpreter, store, connections } = await interpreterOf(sessionConnection("s"));
  const copy = messageRecord("s", 1);
  await store.commit([{ type: "put message", message: copy }]);
  const content = { kind: "message", previousHash: new Uint8Array(32), body: copy.body } as const;
  const arrived = {
    frame: { ...content, number: 1001, userNumber: 2000, time: 8 },
    serverId: "AAAA",
    serverAt: 5000,
    hash: new Uint8Array(32),
    delivered: null,
    taken: [],
    outbound: null,
    copy,
  };
  const route = "s-inbound";
  await Promise.all([
    interpreter.do("s", () => null),
    interpreter.do("s", async (connection) => {
      const context = { store, allowUnverified: true };
      const opened = await openPackets(context, connection, { route, incoming: [], now: 0 });
      return { type: "packets", route, opened: { ...opened, frames: [arrived] } };
    }),
    interpreter.acknowledged("s", 1),
  ]);
  const { acknowledged } = connections.find("s")!.session!;
  assertEquals(acknowledged.ranges, [[2000, 2000]]);
  assertEquals((await store.message("s", 1))!.done, true);
});
