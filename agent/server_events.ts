import type { MessageEvent, SmpClient } from "../client/mod.ts";
import type { PrivateKey, ServerAddress } from "../protocol/mod.ts";

/** A queue that is subscribed to. */
export interface SubscribedQueue {
  /** The route's. */
  readonly id: string;
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Loads the key that signs the recipient's commands. */
  readonly loadKey: () => Promise<PrivateKey<"sign">>;
  /**
   * Messages that may be delivered at a time, 1 to 128, where the server can. All that come are told then, also those
   * that come again, from the first one that is not acknowledged on after each SUB, and whoever acknowledges them names
   * them. @default 1
   */
  readonly window?: number;
}

/** What is told about servers. A queue that was forgotten is not told of. */
export interface ServerEvents {
  /** A message of a subscribed queue came through `client`. */
  message(queue: SubscribedQueue, message: MessageEvent, client: SmpClient): void;
  /** Another program has subscribed to the queue, which is not wanted any more. */
  ended(queue: SubscribedQueue): void;
  /** The queue cannot be subscribed to, because of its server or its key, and is not wanted any more. */
  refused(queue: SubscribedQueue, error: Error): void;
  /** These queues were subscribed to, or said to be, and are not now. */
  down(server: ServerAddress, queues: readonly SubscribedQueue[]): void;
  /** These queues were not subscribed to, or never, and are now. */
  up(server: ServerAddress, queues: readonly SubscribedQueue[]): void;
  /** There is a connection to the server. */
  connected(server: ServerAddress): void;
}
