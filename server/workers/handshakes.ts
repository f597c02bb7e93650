import type { SessionKeys } from "../../protocol/mod.ts";
import { handshakeDigest, type ReplayGuard } from "../guard/replay_guard.ts";
import type { AnswerMessage, AskMessage } from "./messages.ts";
import { workerOfHandshake } from "./partition.ts";

export interface SharedHandshakesOptions {
  readonly own: ReplayGuard;
  readonly worker: number;
  readonly workers: number;
  readonly ask: (question: AskMessage & { readonly worker: number }) => void;
}

/** Asks the worker that remembers a handshake whether it is new. */
export class SharedHandshakes implements Pick<ReplayGuard, "isNew"> {
  readonly #options: SharedHandshakesOptions;
  readonly #asked = new Map<number, (isNew: boolean) => void>();
  #last = 0;

  constructor(options: SharedHandshakesOptions) {
    this.#options = options;
  }

  async isNew(keys: SessionKeys): Promise<boolean> {
    const { own, worker, workers, ask } = this.#options;
    const digest = await handshakeDigest(keys);
    const owner = workerOfHandshake(digest, { workers });
    if (owner === worker) return await own.isNewDigest(digest);
    const id = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#asked.set(id, resolve);
    ask({ type: "ask", id, worker: owner, digest });
    return await promise;
  }

  answered({ id, isNew }: AnswerMessage): void {
    this.#asked.get(id)?.(isNew);
    this.#asked.delete(id);
  }
}

interface Question {
  readonly from: number;
  readonly id: number;
  readonly to: number;
  readonly digest: number;
  readonly since: number;
}

const mostQuestions = 10_000;

export interface HandshakeDeskOptions {
  readonly send: (worker: number, message: AskMessage | AnswerMessage) => void;
  readonly isUp: (worker: number) => boolean;
  readonly now?: () => number;
}

/**
 * Takes the workers' questions about handshakes to whom they are for. Those to a worker that has died are asked again
 * when it is there again: what it has remembered, but not answered, counts as played back then, and is refused.
 */
export class HandshakeDesk {
  readonly #options: HandshakeDeskOptions;
  readonly #now: () => number;
  readonly #questions = new Map<number, Question>();
  #last = 0;

  constructor(options: HandshakeDeskOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get size(): number {
    return this.#questions.size;
  }

  ask(from: number, { id, worker: to, digest }: AskMessage & { readonly worker: number }): void {
    if (this.#questions.size >= mostQuestions) return this.#answer({ from, id }, false);
    const own = ++this.#last;
    this.#questions.set(own, { from, id, to, digest, since: this.#now() });
    if (this.#options.isUp(to)) this.#options.send(to, { type: "ask", id: own, digest });
  }

  /** Only the worker that was asked can answer. */
  answer(from: number, { id, isNew }: AnswerMessage): void {
    const question = this.#questions.get(id);
    if (question?.to !== from) return;
    this.#questions.delete(id);
    this.#answer(question, isNew);
  }

  up(worker: number): void {
    for (const [id, { to, digest }] of this.#questions) {
      if (to === worker) this.#options.send(to, { type: "ask", id, digest });
    }
  }

  down(worker: number): void {
    for (const [id, { from }] of this.#questions) if (from === worker) this.#questions.delete(id);
  }

  /** Refuses the handshakes whose worker has not answered within `timeout` milliseconds. */
  sweep(timeout: number): void {
    for (const [id, question] of this.#questions) {
      if (question.since > this.#now() - timeout) return;
      this.#questions.delete(id);
      this.#answer(question, false);
    }
  }

  #answer({ from, id }: Pick<Question, "from" | "id">, isNew: boolean): void {
    this.#options.send(from, { type: "answer", id, isNew });
  }
}
