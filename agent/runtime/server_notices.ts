import { SmpError } from "../../protocol/mod.ts";
import type { Connections } from "../core/connections.ts";
import type { ServerEvents, SubscribedQueue } from "../servers.ts";
import type { Discards } from "./discards.ts";
import type { Events } from "./events.ts";
import type { Sessions } from "./sessions.ts";
import type { Workers } from "./workers.ts";

/** Who learns of what servers tell. */
export interface NoticeParts {
  readonly connections: Connections;
  readonly events: Events;
  readonly workers: Workers;
  readonly sessions: Sessions;
  readonly discards: Discards;
}

/** Tells what servers tell of queues to those whom it concerns, of connections; `parts` are there when something happens. */
export function serverNotices(parts: () => NoticeParts): ServerEvents {
  const recordOf = ({ id }: SubscribedQueue) => {
    const { connections } = parts();
    return (connections.receiving(id) ?? connections.inbound(id))?.connection.record;
  };
  const aliasOf = (queue: SubscribedQueue) => recordOf(queue)?.alias;
  const aliasesOf = (queues: readonly SubscribedQueue[]) => [
    ...new Set(queues.map(aliasOf).filter((alias) => alias !== undefined)),
  ];
  return {
    message: ({ id }, message, client) => parts().workers.receive(id, { message, client }),
    ended(queue) {
      parts().sessions.ended(queue.id);
      const connection = aliasOf(queue);
      if (connection !== undefined) parts().events.pass({ type: "end", connection });
    },
    refused(queue, error) {
      const { events, sessions } = parts();
      const record = recordOf(queue);
      if (record === undefined) return;
      // A server that has forgotten a queue has forgotten what was in it, too.
      if (error instanceof SmpError && error.code === "AUTH" && sessions.forgotten(queue.id)) return;
      events.failed(record.id, error);
    },
    down: (server, queues) => parts().events.pass({ type: "down", server, connections: aliasesOf(queues) }),
    up: (server, queues) => parts().events.pass({ type: "up", server, connections: aliasesOf(queues) }),
    connected(server) {
      const { workers, discards, sessions } = parts();
      workers.reachable(server);
      discards.reachable(server);
      sessions.reachable(server);
    },
  };
}
