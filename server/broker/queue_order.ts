import { KeyedSerial } from "./keyed_serial.ts";

/** Serializes the work on a queue by either of its IDs, also after a DEL under way has removed it. */
export class QueueOrder {
  readonly #serial = new KeyedSerial((recipientId) => this.#forget(recipientId));
  readonly #recipientIds = new Map<string, string>();
  readonly #senderIds = new Map<string, string>();

  recipientIdOf(senderId: string): string | undefined {
    return this.#recipientIds.get(senderId);
  }

  link(recipientId: string, senderId: string): void {
    this.#recipientIds.set(senderId, recipientId);
    this.#senderIds.set(recipientId, senderId);
  }

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
