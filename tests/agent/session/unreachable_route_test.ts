import { assertEquals } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { routeNeed } from "../../../agent/runtime/route_need.ts";
import { Sessions } from "../../../agent/runtime/sessions.ts";
import type { Connection, OutboundRoute } from "../../../agent/store/store.ts";
import { routeRefusals, type ServerAddress } from "../../../protocol/mod.ts";
import { context } from "../core/scenes.ts";
import { activeSession, arrived, inboundRoute, outboundRoute } from "./scenes.ts";

const permissions = "none";
const [here, there] = [{ host: "one.example" }, { host: "two.example" }];

/** A route on another server that was added in place of one. */
function added(): OutboundRoute {
  const route = outboundRoute("new", { isProven: false, replaces: "old" });
  return { ...route, keys: { ...route.keys, server: there } };
}

/** What an agent that cannot reach some servers does when it looks at all connections. */
async function inspected(connection: Connection, lost: readonly ServerAddress[]) {
  const agent = {
    connections: { all: () => [connection], find: () => undefined },
    servers: { isLost: (server: ServerAddress) => lost.includes(server) },
    now: () => 0,
    routeLifetime: Infinity,
    lostTimeout: 1000,
  } as unknown as AgentContext;
  const happened: unknown[] = [];
  const interpreter = {
    do: (_: string, event: unknown) => (happened.push(event), Promise.resolve(null)),
  } as unknown as Interpreter;
  await using sessions = new Sessions(agent, interpreter, { sendReceipt: () => {} });
  sessions.inspect();
  return happened;
}

Deno.test(
  "a route whose server cannot be reached is refused while the one before it works",
  { permissions },
  async () => {
    const outbound = [outboundRoute("old"), added()];
    const { server } = outbound[0]!.keys;
    const connection = activeSession({ inbound: [inboundRoute("in")], outbound });
    assertEquals(await inspected(connection, []), []);
    const event = { type: "refuse route", route: "new" } as const;
    assertEquals(await inspected(connection, [there]), [event]);
    assertEquals(await inspected({ ...connection, inbound: [] }, [server, there]), []);
    const { connection: left, frames, commands } = step(connection, event, context);
    assertEquals(left.outbound.map(({ id }) => id), ["old"]);
    assertEquals(commands, [{ type: "drop", routes: ["new"], discarded: [] }]);
    const { routeId } = outbound[1]!.keys;
    assertEquals(frames.map(({ content }) => content), [
      { kind: "route refused", routeId, reason: routeRefusals.unreachable },
    ]);
    // It was reached meanwhile, or is the only one that is left.
    const proven = { ...connection, outbound: [outbound[0]!, { ...outbound[1]!, isProven: true }] };
    for (const other of [proven, { ...connection, outbound: [outbound[1]!] }]) {
      assertEquals(step(other, event, context).connection, other);
    }
  },
);

Deno.test(
  "who is told that a server cannot be reached tries another one after an hour, for the same reason",
  { permissions },
  () => {
    const inbound = [
      inboundRoute("old", { leaving: "first" }),
      inboundRoute("new", { status: "new", replaces: "old" }),
    ];
    const connection = activeSession({ inbound, outbound: [outboundRoute("out")] });
    const { routeId } = inbound[1]!.keys;
    const need = (reason: number, now: number) => {
      const frame = { kind: "route refused", routeId, reason, number: 1, time: 1 } as const;
      const { connection: left } = arrived(connection, [{ frame }], 0);
      assertEquals(left.inbound.map(({ id }) => id), ["old"]);
      const servers = { isLost: () => false } as unknown as AgentContext["servers"];
      const agent = { routes: 1, ownServers: () => [here, there], servers, lostTimeout: 1, now: () => now };
      return routeNeed(left, agent)?.type;
    };
    assertEquals(need(routeRefusals.unreachable, 1), undefined);
    assertEquals(need(routeRefusals.unreachable, 3_600_000), "make");
    assertEquals(need(routeRefusals.serverNotAllowed, 3_600_000), undefined);
  },
);

Deno.test(
  "of more routes than are wanted one ends that cannot be reached, and none while too few of the others can",
  { permissions },
  () => {
    const inbound = [
      inboundRoute("here", { keys: { ...inboundRoute("here").keys, server: here } }),
      inboundRoute("there", { keys: { ...inboundRoute("there").keys, server: there } }),
    ];
    const connection = activeSession({ inbound, outbound: [outboundRoute("out")] });
    const ended = (...connected: readonly ServerAddress[]) => {
      const servers = {
        isLost: () => false,
        isConnected: (server: ServerAddress) => connected.includes(server),
      } as unknown as AgentContext["servers"];
      const agent = { routes: 1, ownServers: () => [here, there], servers, lostTimeout: 1, now: () => 1 };
      const need = routeNeed(connection, agent);
      return need?.type === "end" ? need.route : need;
    };
    assertEquals(ended(), null);
    assertEquals(ended(here), "there");
    assertEquals(ended(there), "here");
    assertEquals(ended(here, there), "here");
  },
);
