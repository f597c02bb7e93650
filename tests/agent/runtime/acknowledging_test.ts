import { assertEquals } from "@std/assert";
import { newConnection, withReceiving } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { Receiver } from "../../../agent/runtime/receiver.ts";
import type { SmpClient } from "../../../client/mod.ts";
import { turn } from "../../support/fake_server.ts";
import { soon } from "../../support/wait.ts";
import { sampleReceiving } from "./samples.ts";

Deno.test("one delivery of a message is acknowledged once, by whomever and however often it comes", async () => {
  const messageId = "bTE=";
  const route = { ...sampleReceiving("active"), lastServerId: messageId };
  const connections = new Connections();
  const empty = newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  connections.set(withReceiving(empty, route));
  const servers = { mayAcknowledge: () => true };
  const context = { connections, servers, keys: new LoadedKeys() } as unknown as AgentContext;
  const receiver = new Receiver(route.id, context, {} as Interpreter);
  let sent = 0;
  const newClient = () => ({ acknowledge: () => (sent++, Promise.resolve()) }) as unknown as SmpClient;
  const { recipientId } = route.keys;
  const body = new Uint8Array(0);
  const message = { type: "MSG", recipientId, messageId, timestamp: new Date(0), body, sequence: 0 } as const;
  // On another connection nothing is known to be acknowledged.
  for (const [client, times] of [[newClient(), 1], [newClient(), 2]] as const) {
    for (let i = 0; i < 3; i++) {
      receiver.take({ message, client });
      await soon(Promise.all([receiver.acknowledge(messageId), receiver.acknowledge(messageId)]));
      await turn();
    }
    assertEquals(sent, times);
  }
  await receiver.close();
});
