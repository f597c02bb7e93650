import { AgentError } from "../protocol/error.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import { recipientQueue } from "./routes.ts";
import { simplex } from "./subscribing.ts";

/** Suspends all queues of a connection, one after the other. See `Agent.suspend`. */
export async function suspendConnection(
  context: AgentContext,
  interpreter: Interpreter,
  alias: string,
): Promise<void> {
  const { connections, servers } = context;
  const { record: { id }, session } = connections.get(alias);
  const status = session?.status;
  if (status === "agreed" || status === "offered" || status === "answered") {
    const reason = "it is being upgraded: try again when it has its session";
    throw new AgentError("CMD PROHIBITED", `Cannot suspend "${alias}": ${reason}`);
  }
  const routes = () => {
    const connection = connections.find(id);
    return connection === undefined ? [] : [...connection.receiving, ...connection.inbound];
  };
  if (routes().length === 0) throw simplex(connections.get(alias));
  const done = new Set<string>();
  for (
    let route;
    (route = routes().find((route) => !done.has(route.id))) !== undefined;
    done.add(route.id)
  ) {
    const client = await servers.client(route.keys.server);
    await client.suspendQueue(await recipientQueue(context, route.keys));
    await interpreter.do(id, { type: "suspended", route: route.id });
  }
}
