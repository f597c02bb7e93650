import type { PrivateKey } from "../protocol/mod.ts";

/** A queue on a server from its recipient's side: all that is needed to receive from it. */
export interface RecipientQueue {
  /** Base64; what the recipient names the queue by. */
  readonly recipientId: string;
  /** Base64; what the sender is given. */
  readonly senderId: string;
  /** Signs the recipient's commands. */
  readonly recipientKey: PrivateKey<"sign">;
}

/** A queue on a server from its sender's side. */
export interface SenderQueue {
  /** Base64. */
  readonly senderId: string;
  /** Signs messages once the recipient has secured the queue with its public half; before that there is none. */
  readonly senderKey?: PrivateKey<"sign">;
}

/** A message that waits to be acknowledged. */
export interface MessageEvent {
  /** The kind of event. */
  readonly type: "MSG";
  /** The queue's recipient ID, base64. */
  readonly recipientId: string;
  /** Base64; the same when the message is delivered again. */
  readonly messageId: string;
  /** When the server accepted the message. */
  readonly timestamp: Date;
  /** What the sender sent, raw. */
  readonly body: Uint8Array;
  /** How many subscriptions, whose numbers `SmpClient.subscribe` gives, and ends of some had come when it came. */
  readonly sequence: number;
}

/** Another connection has subscribed to the queue: this one gets nothing more from it. */
export interface EndEvent {
  /** The kind of event. */
  readonly type: "END";
  /** The queue's recipient ID, base64. */
  readonly recipientId: string;
  /** Ends the subscriptions whose number, which `SmpClient.subscribe` gives, is smaller. */
  readonly sequence: number;
}

/** What a server sends for a subscribed queue. */
export type QueueEvent = MessageEvent | EndEvent;
