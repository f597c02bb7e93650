import { assertEquals } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { Sessions } from "../../../agent/runtime/sessions.ts";
import { withSession } from "../../../agent/session/session.ts";
import type { Connection, Session } from "../../../agent/store/store.ts";
import { context } from "../core/scenes.ts";
import { activeSession, arrived, inboundRoute, outboundRoute } from "./scenes.ts";

const permissions = "none";
const day = 86_400_000;
const routes = { inbound: [inboundRoute("in")], outbound: [outboundRoute("one"), outboundRoute("two")] };

function sessionWith(change: Partial<Session>): Connection {
  return withSession(activeSession(routes), { lastNumber: 5, lastEncrypted: 5, lastTaken: 5, ...change });
}

/** What an agent that has just started does with a connection when it looks at all of them. */
async function inspected(
  connection: Connection,
  now: number,
  routeLifetime = Infinity,
): Promise<readonly string[]> {
  const agent = {
    connections: { all: () => [connection], find: () => undefined },
    servers: { isLost: () => false },
    now: () => now,
    routeLifetime,
    lostTimeout: 1000,
  } as unknown as AgentContext;
  const happened: string[] = [];
  const interpreter = {
    do: (_: string, { type }: { readonly type: string }) => (happened.push(type), Promise.resolve(null)),
  } as unknown as Interpreter;
  await using sessions = new Sessions(agent, interpreter, { sendReceipt: () => {} });
  sessions.inspect();
  return happened;
}

Deno.test("the day after which frames without receipt are sent again goes on while no agent runs", {
  permissions,
}, async () => {
  const quiet = sessionWith({ quietSince: 10 * day });
  assertEquals(await inspected(quiet, 11 * day), []);
  assertEquals(await inspected(quiet, 11 * day + 1), ["repeat all"]);
  assertEquals(await inspected(sessionWith({ quietSince: 30 * day }), 11 * day), ["repeat all"]);
  assertEquals(await inspected(sessionWith({}), 11 * day), ["repeat all"]);
  assertEquals(
    await inspected(sessionWith({ receipted: { upTo: 5, ranges: [] }, quietSince: 0 }), 11 * day),
    [],
  );
});

Deno.test("a route is too old after its lifetime, also by a clock that was ahead when it was made", {
  permissions,
}, async () => {
  const quiet = sessionWith({ quietSince: 100 * day, receipted: { upTo: 5, ranges: [] } });
  const { createdAt } = quiet.inbound[0]!.keys;
  for (const [passed, happened] of [[7 * day, []], [7 * day + 1, ["leave routes"]]] as const) {
    assertEquals(await inspected(quiet, createdAt + passed, 7 * day), happened);
    assertEquals(await inspected(quiet, createdAt - passed, 7 * day), happened);
  }
});

Deno.test("what is sent again is so by all routes, and once a day", { permissions }, () => {
  const made = step(sessionWith({ quietSince: 0 }), { type: "repeat all" }, context);
  assertEquals(made.connection.session?.quietSince, context.now);
  assertEquals(made.commands, [{ type: "repeat", route: "one" }, { type: "repeat", route: "two" }]);
});

Deno.test(
  "silence begins with the first frame after all were receipted, and anew with each receipt that tells of more",
  { permissions },
  () => {
    const all = sessionWith({ receipted: { upTo: 5, ranges: [] }, lastEncrypted: 7, quietSince: 1 });
    const sent = (connection: Connection, cursor: number) =>
      step(connection, { type: "frames sent", route: "one", cursor, frames: [] }, context).connection;
    const first = sent(all, 6);
    assertEquals(first.session?.quietSince, context.now);
    assertEquals(sent(withSession(first, { quietSince: 1 }), 7).session?.quietSince, 1);
    const receipt = (upTo: number) => {
      const stored = { upTo, ranges: [] }, acknowledged = { upTo: 0, ranges: [] };
      const frame = { kind: "receipt", stored, acknowledged, number: 0, time: 1 } as const;
      return arrived(withSession(first, { quietSince: 1 }), [{ frame }]).connection.session?.quietSince;
    };
    assertEquals([receipt(5), receipt(6)], [1, context.now]);
  },
);
