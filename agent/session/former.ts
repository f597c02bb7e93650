import { type Step, type StepContext, stepTo } from "../core/types.ts";
import type { Connection, DiscardedQueue, ReceivingRoute, StoreChange } from "../store/store.ts";

/** A connection without its 0.3 routes of one or both directions; their queues are discarded. */
export function dropFormer(
  connection: Connection,
  { discardUntil }: StepContext,
  which: { readonly receiving: boolean; readonly sending: boolean },
): Step {
  const receiving = which.receiving ? connection.receiving : [];
  const sending = which.sending ? connection.sending : [];
  const routes = [...receiving, ...sending].map(({ id }) => id);
  if (routes.length === 0) return stepTo(connection);
  const discarded = receiving.map((route) => discardedOf(route, discardUntil));
  const left = {
    ...connection,
    receiving: which.receiving ? [] : connection.receiving,
    sending: which.sending ? [] : connection.sending,
  };
  return stepTo(left, {
    changes: discarded.map((queue): StoreChange => ({ type: "put discarded", queue })),
    commands: [{ type: "drop", routes, discarded }],
  });
}

/** What is stored of a route's queue until its server has deleted it. */
export function discardedOf(
  { id, keys: { server, recipientId, senderId, recipientKey } }: {
    readonly id: string;
    readonly keys: Pick<ReceivingRoute["keys"], "server" | "recipientId" | "senderId" | "recipientKey">;
  },
  giveUpAt: number,
): DiscardedQueue {
  return { id, server, recipientId, senderId, recipientKey, giveUpAt };
}
