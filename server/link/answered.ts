import type { ServerResponse } from "../../protocol/mod.ts";
import type { Rank } from "../broker/subscriptions.ts";

/** Commands whose answers are kept: more than a session's process has unanswered at a time. */
const mostAnswers = 65_536;
/** Milliseconds that answers are kept after their link was lost. */
const keptTime = 120_000;

/** What a command was answered. */
export interface Answer {
  readonly queueId: string | null;
  readonly rank: Rank | null;
  readonly response: ServerResponse;
}

/** What has become of a command. */
export type Outcome = Answer | "unknown";

/**
 * The commands of one session's process that must not be executed twice: those in work, with the connection that waits
 * for the answer, and the answers of those that its process may not have read yet.
 */
export class AnsweredCommands<Target> {
  readonly #inWork = new Map<number, Target>();
  /** In the order of their batches. */
  readonly #answers = new Map<number, { readonly outcome: Outcome; readonly batch: number }>();
  /** From before the link was lost. */
  #former = new Map<number, Outcome>();
  #lostAt = 0;

  /** Commands that are known. */
  get size(): number {
    return this.#inWork.size + this.#answers.size + this.#former.size;
  }

  /** What has become of a command; `"in work"`: `target` gets its answer; `null`: it is new, and in work from now on. */
  begin(command: number, target: Target): Outcome | "in work" | null {
    const known = this.#answers.get(command)?.outcome ?? this.#former.get(command);
    if (known !== undefined) return known;
    const isKnown = this.#inWork.has(command);
    this.#inWork.set(command, target);
    return isKnown ? "in work" : null;
  }

  /** A command was executed; the connection that waits for its answer, if it is one of these commands. */
  finish(command: number): Target | undefined {
    const target = this.#inWork.get(command);
    this.#inWork.delete(command);
    return target;
  }

  /** A command is not executed after all. */
  cancel(command: number): void {
    this.#inWork.delete(command);
  }

  /** Keeps an answer that is sent in a batch of the link. */
  keep(command: number, outcome: Outcome, batch: number): void {
    this.#former.delete(command);
    this.#answers.delete(command);
    if (this.#answers.size >= mostAnswers) this.#answers.delete(firstKey(this.#answers));
    this.#answers.set(command, { outcome, batch });
  }

  /** Keeps an answer that could not be sent, as the link is lost. */
  keepUnsent(command: number, outcome: Outcome): void {
    this.#former.set(command, outcome);
    if (this.#former.size > mostAnswers) this.#former.delete(firstKey(this.#former));
  }

  /** The session's process has read all batches up to this one: it does not ask for their answers again. */
  acknowledged(batch: number): void {
    for (const [command, answer] of this.#answers) {
      if (answer.batch > batch) return;
      this.#answers.delete(command);
    }
  }

  /** The link was lost. `now` in milliseconds. */
  lost(now: number): void {
    this.#lostAt = now;
    for (const [command, { outcome }] of this.#answers) this.keepUnsent(command, outcome);
    this.#answers.clear();
  }

  /** Forgets what nobody asks for any more. */
  sweep(now: number): void {
    if (now - this.#lostAt > keptTime) this.#former = new Map();
  }
}

function firstKey(map: ReadonlyMap<number, unknown>): number {
  return map.keys().next().value!;
}
