import { KeyedSerial } from "./keyed_serial.ts";

/**
 * Runs the work on each queue in the order in which it came, whichever of its two IDs it names the queue by: also
 * when a DEL under way has removed the queue, so that its sender ID leads nowhere any more.
 */
export class QueueOrder {
  readonly #serial = new KeyedSerial((recipientId) => this.#forget(recipientId));
  /** The IDs of the queues that have work, both ways. */
  readonly #recipientIds = new Map<string, string>();
  readonly #senderIds = new Map<string, string>();

  /** The recipient ID that belongs to a sender ID, if there is work on the queue that named it so. */
  recipientIdOf(senderId: string): string | undefined {
    return this.#recipientIds.get(senderId);
  }

  /** Remembers that two IDs are of one queue, as long as there is work on it. */
  link(recipientId: string, senderId: string): void {
    this.#recipientIds.set(senderId, recipientId);
    this.#senderIds.set(recipientId, senderId);
  }

  /** Runs `work` after all earlier work on the queue; `work` must not reject. */
  run(recipientId: string, work: () => Promise<void>): void {
    this.#serial.run(recipientId, work);
  }

  #forget(recipientId: string): void {
    const senderId = this.#senderIds.get(recipientId);
    if (senderId === undefined) return;
    this.#senderIds.delete(recipientId);
    this.#recipientIds.delete(senderId);
  }
}
