import { assertEquals, assertMatch } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import type { SessionEvent } from "../../../agent/core/types.ts";
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

/** What an agent does with connections when it looks at all of them. */
async function inspected(
  connections: Connection | readonly Connection[],
  now: number,
  { routeLifetime = Infinity, isSettled = false } = {},
): Promise<readonly string[]> {
  const agent = {
    connections: { all: () => [connections].flat(), find: () => undefined },
    servers: { isLost: () => false },
    now: () => now,
    deadlines: { isSettled: () => isSettled },
    routeLifetime,
    lostTimeout: 1000,
  } as unknown as AgentContext;
  const happened: string[] = [];
  const interpreter = {
    do: (_: string, event: SessionEvent) => {
      happened.push(event.type === "leave routes" ? `leave ${event.routes}` : event.type);
      return Promise.resolve(null);
    },
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

const routeLifetime = 7 * day;

Deno.test("a route is too old after its lifetime", { permissions }, async () => {
  const quiet = sessionWith({ quietSince: 100 * day, receipted: { upTo: 5, ranges: [] } });
  const { createdAt } = quiet.inbound[0]!.keys;
  for (const isSettled of [false, true]) {
    const at = (time: number) => inspected(quiet, time, { routeLifetime, isSettled });
    assertEquals(await at(createdAt + routeLifetime), []);
    assertEquals(await at(createdAt + routeLifetime + 1), ["leave in"]);
    // It was made by a clock that was ahead, or this one is behind, which one that was just started may be.
    assertEquals(await at(createdAt - routeLifetime), []);
    assertEquals(await at(createdAt - routeLifetime - 1), isSettled ? ["leave in"] : []);
  }
});

Deno.test("of routes that are too old one is replaced at a time: a clock that is wrong makes all so", {
  permissions,
}, async () => {
  const inbound = [inboundRoute("in"), inboundRoute("other")];
  const connections = Array.from({ length: 3 }, () => activeSession({ ...routes, inbound }));
  for (const now of [-100 * day, 100 * day]) {
    const happened = await inspected(connections, now, { routeLifetime, isSettled: true });
    assertEquals(happened.length, 1, `${happened}`);
    assertMatch(happened[0]!, /^leave (in|other)$/);
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
