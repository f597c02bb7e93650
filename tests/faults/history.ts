import { SmpError, TransportError } from "../../protocol/mod.ts";

/** The commands of which something is checked. */
export type CommandName = "NEW" | "KEY" | "SUB" | "SEND" | "ACK" | "OFF" | "DEL";

/**
 * What became of a command: `not sent` it certainly did nothing, `unknown` it may have been executed, or be executed yet.
 */
export type Outcome = "OK" | `ERR ${string}` | "not sent" | "unknown";

/** What a command is about. */
export interface Subject {
  readonly command: CommandName;
  /** The name that the load has for the queue. */
  readonly queue: string;
  /** Each connection has its number. */
  readonly connection: number;
  /** SEND: what is sent, which is sent once. */
  readonly text?: string;
  /** SEND: without a signature. */
  readonly isUnsigned?: boolean;
  /** ACK: the IDs of the messages. */
  readonly messageIds?: readonly string[];
  /** SUB: messages that may be unacknowledged. */
  readonly window?: number;
}

/** A command, from the call to its outcome. */
export interface Call extends Subject {
  /** Place in the order of everything that a client has seen or done. */
  readonly began: number;
  /** Its place, `Infinity` before. */
  readonly ended: number;
  readonly outcome: Outcome;
  /** Milliseconds. */
  readonly endedAt: number;
}

/** What came without being asked for, or a connection that is gone: `LEFT` when its client wanted it. */
export interface Notice {
  readonly type: "MSG" | "END" | "CLOSED" | "LEFT";
  readonly queue: string;
  readonly connection: number;
  readonly order: number;
  /** Milliseconds. */
  readonly at: number;
  /** MSG */
  readonly text?: string;
  /** MSG */
  readonly messageId?: string;
}

/** A queue whose IDs were answered. */
export interface CreatedQueue {
  readonly name: string;
  readonly recipientId: string;
  readonly senderId: string;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Codes of what a peer does that it must not do, and answers that are another command's. */
const wrong: readonly string[] = ["RESPONSE", "UNEXPECTED", "BLOCK", "AES_DECRYPT", "HEADER", "BAD_HASH"];

/** Everything that clients have done and seen, in its order. */
export class History {
  readonly calls: Call[] = [];
  readonly notices: Notice[] = [];
  readonly queues: CreatedQueue[] = [];
  /** What clients have found wrong themselves, each as a sentence. */
  readonly problems: string[] = [];
  #order = 0;
  #connections = 0;

  /** A number for a connection. */
  connected(): number {
    return ++this.#connections;
  }

  begin(subject: Subject): Mutable<Call> {
    const call = {
      ...subject,
      began: ++this.#order,
      ended: Infinity,
      endedAt: Infinity,
      outcome: "unknown",
    } as const;
    this.calls.push(call);
    return call;
  }

  end(call: Mutable<Call>, outcome: Outcome): void {
    call.outcome = outcome;
    call.ended = ++this.#order;
    call.endedAt = performance.now();
  }

  note(notice: Omit<Notice, "order" | "at">): void {
    this.notices.push({ ...notice, order: ++this.#order, at: performance.now() });
  }

  /** Runs a command; gives what it has given when it was answered OK, and what became of it. */
  async perform<T>(
    subject: Subject,
    run: () => Promise<T>,
  ): Promise<{ readonly outcome: Outcome; readonly value?: T }> {
    const call = this.begin(subject);
    try {
      const value = await run();
      this.end(call, "OK");
      return { outcome: "OK", value };
    } catch (error) {
      const outcome = this.#outcomeOf(error, subject);
      this.end(call, outcome);
      return { outcome };
    }
  }

  /** Notes an error that no fault explains. */
  failed(error: unknown, where: string): void {
    if (error instanceof TransportError && !wrong.includes(error.code)) return;
    this.problems.push(`${where}: ${error instanceof Error ? error.message : error}`);
  }

  #outcomeOf(error: unknown, { command, queue }: Subject): Outcome {
    if (error instanceof SmpError) return `ERR ${error.code}`;
    if (!(error instanceof TransportError)) throw error;
    this.failed(error, `${command} on ${queue}`);
    return error.neverSent ? "not sent" : "unknown";
  }
}
