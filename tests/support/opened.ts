import { OpenedQueues } from "../../server/broker/opened_queues.ts";

/** The opened queues of a connection without a session: as many as are wanted, by a binding of zeros. */
export function openedQueues(): OpenedQueues {
  return new OpenedQueues({ binding: new Uint8Array(32), most: () => Infinity, hold: () => {} });
}
