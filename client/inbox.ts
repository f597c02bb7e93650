import type { QueueEvent } from "./queue.ts";

/** What waits to be read of one queue: never more than one event, as a server sends no second message unacknowledged. */
interface Mailbox {
  event: QueueEvent | null;
  /** Has an iterator of its own. */
  claimed: boolean;
  /** Wakes that iterator. */
  wake: () => void;
}

/**
 * Events of the subscribed queues on their way to the iterators of a client.
 *
 * It is bounded by the number of queues, however slow the reader is and whatever the server sends: a further event of
 * a queue replaces the one that was not read. An honest server does that with a message only when it was acknowledged.
 */
export class Inbox {
  readonly #mailboxes = new Map<string, Mailbox>();
  /** The queues without an iterator of their own that have an event, oldest first. */
  readonly #ready = new Set<string>();
  readonly #waiting = new Set<() => void>();
  #end: { readonly error: Error | null } | null = null;

  /** Accepts events of a queue from now on; `false` when it did already. */
  open(recipientId: string): boolean {
    if (this.#end !== null || this.#mailboxes.has(recipientId)) return false;
    this.#mailboxes.set(recipientId, { event: null, claimed: false, wake: noop });
    return true;
  }

  /** Accepts events of a queue that is subscribed again: the end of its earlier subscription is of no interest. */
  reopen(recipientId: string): void {
    this.open(recipientId);
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox?.event?.type !== "END") return;
    mailbox.event = null;
    this.#ready.delete(recipientId);
  }

  /** Drops a queue and what was not read of it; its iterator ends. */
  drop(recipientId: string): void {
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox === undefined) return;
    this.#mailboxes.delete(recipientId);
    this.#ready.delete(recipientId);
    mailbox.event = null;
    mailbox.wake();
  }

  /** Takes an event; one of a queue that is not open is not wanted. */
  put(event: QueueEvent): void {
    const mailbox = this.#mailboxes.get(event.recipientId);
    if (mailbox === undefined) return;
    mailbox.event = event;
    this.#announce(event.recipientId, mailbox);
  }

  /** Ends all iterators, with `error` if there is one; drops what was not read. */
  close(error: Error | null): void {
    this.#end ??= { error };
    for (const recipientId of this.#mailboxes.keys()) this.drop(recipientId);
    this.#wakeWaiting();
  }

  /** The events of all queues that have no iterator of their own. */
  async *all(): AsyncGenerator<QueueEvent, void, void> {
    while (!this.#hasEnded()) {
      const [recipientId] = this.#ready;
      if (recipientId === undefined) await new Promise<void>((resolve) => this.#waiting.add(resolve));
      else yield this.#take(this.#mailboxes.get(recipientId)!);
    }
  }

  /** The events of one queue; ends after END, or when the queue is dropped. */
  async *of(recipientId: string): AsyncGenerator<QueueEvent, void, void> {
    this.open(recipientId);
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox?.claimed) {
      throw new TypeError("Cannot iterate over the events of a queue: another iterator does");
    }
    if (mailbox !== undefined) mailbox.claimed = true;
    this.#ready.delete(recipientId);
    try {
      while (!this.#hasEnded() && this.#mailboxes.get(recipientId) === mailbox) {
        if (mailbox!.event === null) await new Promise<void>((resolve) => mailbox!.wake = resolve);
        else yield this.#take(mailbox!);
      }
    } finally {
      if (mailbox !== undefined) this.#unclaim(recipientId, mailbox);
    }
  }

  #take(mailbox: Mailbox): QueueEvent {
    const event = mailbox.event!;
    mailbox.event = null;
    this.#ready.delete(event.recipientId);
    if (event.type === "END") this.drop(event.recipientId);
    return event;
  }

  #announce(recipientId: string, mailbox: Mailbox): void {
    if (mailbox.claimed) return mailbox.wake();
    this.#ready.add(recipientId);
    this.#wakeWaiting();
  }

  #unclaim(recipientId: string, mailbox: Mailbox): void {
    mailbox.claimed = false;
    if (mailbox.event !== null) this.#announce(recipientId, mailbox);
  }

  #wakeWaiting(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #hasEnded(): boolean {
    if (this.#end === null) return false;
    if (this.#end.error !== null) throw this.#end.error;
    return true;
  }
}

function noop(): void {}
