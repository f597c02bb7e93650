import { assertEquals } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { PacketReceiver } from "../../../agent/runtime/packet_receiver.ts";
import type { MessageEvent, SmpClient } from "../../../client/mod.ts";
import { turn } from "../../support/fake_server.ts";
import { until } from "../../support/wait.ts";

const permissions = "none";

/** A receiver whose application has `waiting` messages to acknowledge, and what it does at the server. */
function start() {
  const seen: string[] = [];
  const state = { waiting: 500 };
  const keys = { routeKey: new Uint8Array(32), senderId: "", blockSize: 4096 };
  const context = {
    connections: {
      inbound: () => ({
        connection: { record: { id: "c" }, session: { waiting: state.waiting } },
        route: { keys },
      }),
    },
    servers: { resubscribe: () => seen.push("SUB") },
    keys: { signing: () => Promise.resolve(null) },
    now: () => 0,
    retry: { first: 1, most: 1 },
    failed: () => {},
  } as unknown as AgentContext;
  const interpreter = { do: () => Promise.resolve(null) } as unknown as Interpreter;
  const newClient = () =>
    ({
      acknowledge: (_: unknown, messageId: string) => {
        seen.push(`ACK ${messageId}`);
        return Promise.resolve();
      },
    }) as unknown as SmpClient;
  const receiver = new PacketReceiver("r", {
    context,
    interpreter,
    pieces: { settle: () => Promise.resolve() },
  });
  const take = (client: SmpClient, ...ids: readonly string[]) => {
    for (const messageId of ids) {
      const message = { messageId, timestamp: new Date(0), body: new Uint8Array(0) } as MessageEvent;
      receiver.take({ message, client });
    }
  };
  return { receiver, seen, state, newClient, take };
}

/** Lets all happen that can. */
async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

Deno.test(
  "what comes behind packets that were left waits until those are asked for, and whichever comes then is handled",
  { permissions },
  async () => {
    const { receiver, seen, state, newClient, take } = start();
    const client = newClient();
    take(client, "1", "2");
    await rest();
    state.waiting = 499;
    // To acknowledge it would acknowledge those before it, too.
    take(client, "3");
    await rest();
    assertEquals(seen, []);
    receiver.resume();
    assertEquals(seen, ["SUB"]);
    // The first one that was left has expired at its server.
    take(client, "2", "3");
    await until(() => seen.includes("ACK 3"));
    assertEquals(seen, ["SUB", "ACK 3"]);
    await receiver.close();
  },
);

Deno.test(
  "a new connection begins with what is not acknowledged, whatever was left",
  { permissions },
  async () => {
    const { receiver, seen, state, newClient, take } = start();
    take(newClient(), "1", "2");
    await rest();
    state.waiting = 0;
    take(newClient(), "2");
    await until(() => seen.includes("ACK 2"));
    await receiver.close();
  },
);

Deno.test(
  "packets that were left when there was no room are asked for once, when there is",
  { permissions },
  async () => {
    const { receiver, seen, state, newClient, take } = start();
    take(newClient(), "1");
    await rest();
    receiver.resume();
    assertEquals(seen, []);
    state.waiting = 499;
    receiver.resume();
    receiver.resume();
    assertEquals(seen, ["SUB"]);
    await receiver.close();
  },
);
