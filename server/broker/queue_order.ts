import { KeyedSerial } from "./keyed_serial.ts";
import { onlyPlace, PairedSerial, type Place, type Side } from "./paired_serial.ts";

/** Serializes the work on a queue by either of its IDs, also after a DEL under way has removed it. */
export class QueueOrder {
  readonly #run: (recipientId: string, work: (place: Place) => Promise<void>, side?: Side) => void;
  readonly #recipientIds = new Map<string, string>();
  readonly #senderIds = new Map<string, string>();

  /** `isPaired`: a command of the sender and one of the recipient may be stored at a time. */
  constructor(isPaired = false) {
    const onIdle = (recipientId: string) => this.#forget(recipientId);
    if (isPaired) {
      const serial = new PairedSerial(onIdle);
      this.#run = (recipientId, work, side) => serial.run(recipientId, work, side);
    } else {
      const serial = new KeyedSerial(onIdle);
      this.#run = (recipientId, work) => void serial.run(recipientId, () => work(onlyPlace));
    }
  }

  recipientIdOf(senderId: string): string | undefined {
    return this.#recipientIds.get(senderId);
  }

  link(recipientId: string, senderId: string): void {
    this.#recipientIds.set(senderId, recipientId);
    this.#senderIds.set(recipientId, senderId);
  }

  run(recipientId: string, work: (place: Place) => Promise<void>, side?: Side): void {
    this.#run(recipientId, work, side);
  }

  #forget(recipientId: string): void {
    const senderId = this.#senderIds.get(recipientId);
    if (senderId === undefined) return;
    this.#senderIds.delete(recipientId);
    this.#recipientIds.delete(senderId);
  }
}
