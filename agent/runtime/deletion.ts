import { unknownConnection } from "../protocol/error.ts";
import type { Connection, StoreChange } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Discards } from "./discards.ts";
import type { EventLog } from "./event_log.ts";
import type { Events } from "./events.ts";
import type { Repetitions } from "./repetitions.ts";
import type { Sessions } from "./sessions.ts";
import type { Streams } from "../stream/streams.ts";
import type { Workers } from "./workers.ts";

/** Who has to do with a connection that is deleted. */
export interface DeletionParts {
  readonly log: EventLog;
  readonly events: Events;
  readonly workers: Workers;
  readonly sessions: Sessions;
  readonly repetitions: Repetitions;
  readonly discards: Discards;
  readonly streams: Streams;
}

/** Deletes a connection with all that is stored of it, tells the other side, then deletes its queues. See `Agent.delete`. */
export async function deleteConnection(
  { connections, servers, store }: AgentContext,
  parts: DeletionParts,
  alias: string,
): Promise<void> {
  const { record: { id } } = connections.get(alias);
  const { log, events, workers, sessions, repetitions, discards, streams } = parts;
  const deleted = await connections.serially(id, async () => {
    const connection = connections.find(id);
    if (connection === undefined) throw unknownConnection(alias);
    const queues = [...connection.receiving, ...connection.inbound].map((route) => discards.discarded(route));
    const farewells = await discards.farewells(connection);
    await store.commit([
      { type: "delete connection", connection: id },
      ...[...queues, ...farewells].map((queue): StoreChange => ({ type: "put discarded", queue })),
    ]);
    connections.remove(connection);
    return { connection, queues, farewells };
  });
  log.forget(id);
  events.forget(id, alias);
  for (const route of routesOf(deleted.connection)) servers.forget(route);
  workers.stop(routesOf(deleted.connection));
  sessions.stop(id);
  streams.stop(id);
  repetitions.stop(id);
  // Who still sends is to find the end before it finds no queue.
  for (const left of [deleted.farewells, deleted.queues]) {
    await Promise.all(left.map(async (one) => {
      const doing = discards.discard(one);
      if (servers.isConnected(one.server)) await doing;
    }));
  }
  servers.tidy();
}

function routesOf({ receiving, sending, inbound, outbound }: Connection): string[] {
  return [...receiving, ...sending, ...inbound, ...outbound].map(({ id }) => id);
}
