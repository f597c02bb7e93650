import { AgentError } from "../protocol/error.ts";
import type { RequestId } from "./json.ts";
import type { Subscriber } from "./watch.ts";

/** Bytes that are kept for the answers of a session. */
const mostAsked = 1 << 20;
const askerOverhead = 100;

/** Who has given a command that is answered later. */
export interface Asker {
  readonly subscriber: Subscriber;
  /** Of the command; `null` where it was answered, and what comes later is a notification. */
  readonly id: RequestId | null;
  /** As the command has it. */
  readonly alias: string;
  readonly size: number;
}

/** What is answered later: a message by its number, for SENT or ERR, or what becomes of JOIN. */
export type Question = number | "join";

/** What is kept of a session. */
interface Client {
  /** The connections that it waits for an answer about, by ID. */
  readonly asked: Set<string>;
  /** Bytes that are kept for it until answers come. */
  size: number;
}

/** Whom answers go to that come after their commands, by the ID of the connection; within a bound for each session. */
export class Askers {
  readonly #clients = new Map<Subscriber, Client>();
  readonly #asked = new Map<string, Map<Question, Asker>>();

  /** A session begins. */
  attach(subscriber: Subscriber): void {
    this.#clients.set(subscriber, { asked: new Set(), size: 0 });
  }

  /** A session has ended, and waits for nothing. */
  release(subscriber: Subscriber): void {
    const client = this.#clients.get(subscriber);
    if (client === undefined) return;
    this.#clients.delete(subscriber);
    for (const id of client.asked) {
      const asked = this.#asked.get(id);
      if (asked === undefined) continue;
      for (const [question, asker] of asked) if (asker.subscriber === subscriber) asked.delete(question);
      if (asked.size === 0) this.#asked.delete(id);
    }
  }

  /** Keeps a place for an answer while a command is given. Throws `AgentError` where there is none. */
  async asking<T>(
    asker: Omit<Asker, "size">,
    command: (asker: Asker) => Promise<T>,
  ): Promise<T> {
    const size = String(asker.id).length + asker.alias.length + askerOverhead;
    const client = this.#clients.get(asker.subscriber);
    if (client === undefined) throw new AgentError("INTERNAL", "The session has ended");
    if (client.size + size > mostAsked) {
      throw new AgentError("INTERNAL", "Too many commands wait for their answers");
    }
    client.size += size;
    try {
      return await command({ ...asker, size });
    } catch (error) {
      client.size -= size;
      throw error;
    }
  }

  /** An answer is waited for, unless the session has ended. */
  ask(id: string, question: Question, asker: Asker): void {
    const client = this.#clients.get(asker.subscriber);
    if (client === undefined) return;
    client.asked.add(id);
    let asked = this.#asked.get(id);
    if (asked === undefined) this.#asked.set(id, asked = new Map());
    asked.set(question, asker);
  }

  /** Whether somebody waits for an answer. */
  has(id: string, question: Question): boolean {
    return this.#asked.get(id)?.has(question) ?? false;
  }

  /** Whom an answer goes to, who then waits no more. */
  take(id: string, question: Question): Asker | undefined {
    const asked = this.#asked.get(id);
    const asker = asked?.get(question);
    if (asked === undefined || asker === undefined) return undefined;
    asked.delete(question);
    if (asked.size === 0) this.#asked.delete(id);
    const client = this.#clients.get(asker.subscriber);
    if (client === undefined) return asker;
    client.size -= asker.size;
    if (asked.size === 0) client.asked.delete(id);
    return asker;
  }

  /** All who wait for answers about a connection, and wait no more. */
  takeAll(id: string): readonly Asker[] {
    const questions = [...this.#asked.get(id)?.keys() ?? []];
    return questions.map((question) => this.take(id, question)!);
  }
}
