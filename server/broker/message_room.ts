import { perMessage } from "../guard/memory_guard.ts";
import type { UnsecuredReserve } from "../guard/unsecured_reserve.ts";
import type { WaitingShares } from "../guard/waiting_shares.ts";
import type { LimitSource } from "../config/limits.ts";
import type { QueueRecord } from "../store/store.ts";
import type { BrokerConnection } from "./subscriptions.ts";

/** What a message needs room for, and who sends it. */
export interface Wanted {
  readonly connection: BrokerConnection;
  /** Bytes of the body. */
  readonly length: number;
  /** Messages that are in the queue. */
  readonly count: number;
}

export interface RoomParts {
  readonly limits: LimitSource;
  readonly reserve: UnsecuredReserve;
  readonly shares: WaitingShares;
}

/**
 * Takes room for a message in its queue and in memory. Gives what undoes it, for a message that is not stored after all,
 * or why there is none.
 */
export function takeRoom(
  { limits, reserve, shares }: RoomParts,
  { recipientId, senderKey }: QueueRecord,
  { connection, length, count }: Wanted,
): (() => void) | "quota" | "memory_share" {
  const places = { count, most: limits().messagesPerQueue };
  const undoPlace = senderKey === null
    ? reserve.take(recipientId, connection, places)
    : count < places.most
    ? noop
    : null;
  if (undoPlace === null) return "quota";
  shares.trim(recipientId, count);
  const undoShare = shares.take(recipientId, connection.client, length + perMessage);
  if (undoShare === null) {
    undoPlace();
    return "memory_share";
  }
  return () => {
    undoShare();
    undoPlace();
  };
}

/** `count` messages are in a queue, the last ones. */
export function trimRoom(
  { reserve, shares }: Omit<RoomParts, "limits">,
  { recipientId, senderKey }: QueueRecord,
  count: number,
): void {
  shares.trim(recipientId, count);
  if (senderKey === null) reserve.trim(recipientId, count);
}

function noop(): void {}
