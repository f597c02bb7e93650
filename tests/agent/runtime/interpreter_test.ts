import { assertEquals, assertRejects } from "@std/assert";
import { newConnection, withReceiving } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import { systemClock } from "../../../agent/clock.ts";
import { deadlinesFrom } from "../../../agent/deadlines.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { decodePublicKey } from "../../../mod.ts";
import { storedKeys } from "../../support/agent.ts";
import { turn } from "../../support/fake_server.ts";
import { sampleReceiving } from "./samples.ts";

Deno.test("an agent that is closed does not ask the application whom it lets in", async () => {
  const store = new MemoryStore();
  const log = await EventLog.load(store, 0);
  const connections = new Connections();
  const route = sampleReceiving("new");
  const empty = newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  const connection = withReceiving(empty, route);
  connections.set(connection);
  let asked = 0;
  const context = {
    store,
    connections,
    announced: [],
    now: () => 0,
    deadlines: deadlinesFrom(0, systemClock),
    discardTimeout: 1,
    signal: AbortSignal.abort(new DOMException("closed", "AbortError")),
    approve() {
      asked++;
      return Promise.reject(new Error("nobody is there to ask"));
    },
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
  const interpreter = new Interpreter(context, log, ports);
  const received = {
    serverId: "1",
    serverAt: 0,
    hash: new Uint8Array(32),
    message: { type: "KEY", senderKey: decodePublicKey(storedKeys[0]!.publicKey) },
  } as const;
  const happening = interpreter.do(connection.record.id, { type: "received", route: route.id, received });
  await assertRejects(() => happening, DOMException, "closed");
  await turn();
  assertEquals(asked, 0);
});
