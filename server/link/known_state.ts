import type { ClientCommand, ServerResponse } from "../../protocol/mod.ts";
import type { KnownSubscription, Rank } from "../broker/subscriptions.ts";

interface Subscription {
  readonly window: number | null;
  readonly rank: Rank;
  readonly delivered: string[];
  /** ACKs that are not answered yet. */
  acknowledging: number;
}

/**
 * What an owner has accepted of a connection, as its answers and pushes tell: enough to restore it at the next owner,
 * and to know here whether a queue is opened.
 */
export class KnownState {
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #opened = new Set<string>();
  /** OPENs that are not answered yet. */
  #opening = 0;

  get isSubscribed(): boolean {
    return this.#subscriptions.size > 0;
  }

  get isEmpty(): boolean {
    return this.#subscriptions.size === 0 && this.#opened.size === 0;
  }

  get opened(): Iterable<string> {
    return this.#opened;
  }

  /** Queue IDs that are opened or about to be. */
  get openedCount(): number {
    return this.#opened.size + this.#opening;
  }

  isOpened(queueId: string): boolean {
    return this.#opened.has(queueId);
  }

  *subscriptions(): Iterable<KnownSubscription> {
    for (const [recipientId, { window, rank, delivered }] of this.#subscriptions) {
      yield { recipientId, window, rank, delivered };
    }
  }

  /** A command is given; with ACK: the ID of the message that it acknowledges. */
  submitted({ type }: ClientCommand, queueId: string): string | null {
    if (type === "OPEN") this.#opening++;
    if (type !== "ACK") return null;
    const subscription = this.#subscriptions.get(queueId);
    return subscription?.delivered[subscription.acknowledging++] ?? null;
  }

  answered(command: ClientCommand, queueId: string, response: ServerResponse, rank: Rank | null): void {
    switch (command.type) {
      case "NEW":
        if (response.type === "IDS" && rank !== null) {
          this.#subscribe(response.recipientId, null, rank, response);
        }
        return;
      case "SUB":
      case "SUBN":
        if (rank === null) return;
        return this.#subscribe(queueId, command.type === "SUBN" ? command.window : null, rank, response);
      case "ACK":
        return this.#acknowledged(queueId, response);
      case "ACKM": {
        const delivered = this.#subscriptions.get(queueId)?.delivered;
        if (response.type === "OK") delivered?.splice(0, delivered.indexOf(command.messageId) + 1);
        return;
      }
      case "OPEN":
        this.#opening--;
        if (response.type === "OK") this.#opened.add(queueId);
        return;
    }
  }

  /** A push of the queue with this recipient ID. */
  notified(recipientId: string, response: ServerResponse): void {
    if (response.type === "END") this.#subscriptions.delete(recipientId);
    else if (response.type === "MSG") {
      this.#subscriptions.get(recipientId)?.delivered.push(response.messageId);
    }
  }

  /** A queue is gone. */
  ended(queueId: string): void {
    this.#subscriptions.delete(queueId);
    this.#opened.delete(queueId);
  }

  #subscribe(recipientId: string, window: number | null, rank: Rank, response: ServerResponse): void {
    const delivered = response.type === "MSG" ? [response.messageId] : [];
    this.#subscriptions.set(recipientId, { window, rank, delivered, acknowledging: 0 });
  }

  #acknowledged(recipientId: string, response: ServerResponse): void {
    const subscription = this.#subscriptions.get(recipientId);
    if (subscription === undefined) return;
    if (subscription.acknowledging > 0) subscription.acknowledging--;
    if (response.type === "ERR") return;
    subscription.delivered.shift();
    if (response.type === "MSG") subscription.delivered.push(response.messageId);
  }
}
