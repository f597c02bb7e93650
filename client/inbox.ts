import type { MessageEvent, QueueEvent } from "./queue.ts";
import { Unacknowledged } from "./unacknowledged.ts";

/** What a server has sent of one queue. */
interface Mailbox {
  /** At most as many messages as the window takes, and an END behind them. */
  unread: QueueEvent[];
  /** Messages that may be delivered and unacknowledged (extensions.md window1); `null`: one, as in 0.3. */
  window: number | null;
  readonly unacknowledged: Unacknowledged;
  /** Subscriptions that were asked for, and whose answers have not come. */
  asked: number;
  /** Has an iterator of its own. */
  claimed: boolean;
  /** Wakes that iterator. */
  wake: () => void;
}

/**
 * Events of the subscribed queues on their way to the iterators of a client.
 *
 * It is bounded by the windows of the queues, however slow the reader is and whatever the server sends. Without a window a
 * further message replaces the one that was not read: an honest server sends it only when that was acknowledged. With one,
 * a message beyond it is refused, since its server would take the next acknowledgement for what was dropped too.
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
    this.#mailboxes.set(recipientId, {
      unread: [],
      window: null,
      unacknowledged: new Unacknowledged(),
      asked: 0,
      claimed: false,
      wake: noop,
    });
    return true;
  }

  /** A subscription is asked for; until the answer comes the server may do by its window or by the one before. */
  ask(recipientId: string, window: number | null): void {
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox === undefined) return;
    mailbox.asked++;
    mailbox.window = wider(mailbox.window, window);
  }

  /** The server has refused a subscription. */
  refused(recipientId: string): void {
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox !== undefined) mailbox.asked--;
  }

  /** A subscription begins: it delivers again what was not acknowledged, and the end of the one before is of no interest. */
  begin(recipientId: string, window: number | null): void {
    this.open(recipientId);
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox === undefined) return;
    mailbox.asked = Math.max(0, mailbox.asked - 1);
    // What was asked for and given up may have been done, or be done yet.
    mailbox.window = mailbox.asked === 0 ? window : wider(mailbox.window, window);
    this.#clear(recipientId, mailbox);
  }

  /** The messages of a queue that are delivered and not acknowledged. */
  unacknowledged(recipientId: string): Unacknowledged | undefined {
    return this.#mailboxes.get(recipientId)?.unacknowledged;
  }

  /** Drops a queue and what was not read of it; its iterator ends. */
  drop(recipientId: string): void {
    const mailbox = this.#mailboxes.get(recipientId);
    if (mailbox === undefined) return;
    this.#mailboxes.delete(recipientId);
    this.#clear(recipientId, mailbox);
    mailbox.wake();
  }

  /** Takes an event; one of a queue that is not open is not wanted. `false`: it is beyond the window. */
  put(event: QueueEvent): boolean {
    const mailbox = this.#mailboxes.get(event.recipientId);
    if (mailbox === undefined) return true;
    if (event.type === "MSG" && !this.#take(event, mailbox)) return false;
    if (event.type === "END") {
      if (mailbox.unread.at(-1)?.type === "END") mailbox.unread.pop();
      mailbox.unread.push(event);
    }
    this.#announce(event.recipientId, mailbox);
    return true;
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
      else yield this.#next(recipientId, this.#mailboxes.get(recipientId)!);
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
        if (mailbox!.unread.length === 0) await new Promise<void>((resolve) => mailbox!.wake = resolve);
        else yield this.#next(recipientId, mailbox!);
      }
    } finally {
      if (mailbox !== undefined) this.#unclaim(recipientId, mailbox);
    }
  }

  /** `false`: it is beyond the window. */
  #take(event: MessageEvent, mailbox: Mailbox): boolean {
    const { recipientId, messageId } = event;
    const { window } = mailbox;
    const hasEnded = mailbox.unread.at(-1)?.type === "END";
    // Then a subscription has begun whose answer nobody waits for any more.
    const isAnew = hasEnded || mailbox.unacknowledged.has(messageId);
    if (window === null || isAnew) this.#clear(recipientId, mailbox);
    if (mailbox.unacknowledged.size >= (window ?? 1)) return false;
    mailbox.unacknowledged.add(messageId);
    // What was acknowledged unread makes room for what comes instead.
    if (mailbox.unread.length >= (window ?? 1)) mailbox.unread.shift();
    mailbox.unread.push(event);
    return true;
  }

  #clear(recipientId: string, mailbox: Mailbox): void {
    mailbox.unread = [];
    mailbox.unacknowledged.clear();
    this.#ready.delete(recipientId);
  }

  #next(recipientId: string, mailbox: Mailbox): QueueEvent {
    const event = mailbox.unread.shift()!;
    this.#ready.delete(recipientId);
    if (event.type === "END") this.drop(recipientId);
    else if (!mailbox.claimed && mailbox.unread.length > 0) this.#ready.add(recipientId);
    return event;
  }

  #announce(recipientId: string, mailbox: Mailbox): void {
    if (mailbox.claimed) return mailbox.wake();
    this.#ready.add(recipientId);
    this.#wakeWaiting();
  }

  #unclaim(recipientId: string, mailbox: Mailbox): void {
    mailbox.claimed = false;
    if (mailbox.unread.length > 0) this.#announce(recipientId, mailbox);
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

function wider(a: number | null, b: number | null): number | null {
  return (a ?? 0) >= (b ?? 0) ? a : b;
}

function noop(): void {}
