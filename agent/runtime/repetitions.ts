import { isGivenUp, isInterrupted, unansweredRepair } from "../session/repair_state.ts";
import { isUpgrading } from "../session/upgrade.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import type { RepairSpeaker } from "./repair_speaker.ts";

/** Milliseconds between two repetitions at most. */
const longestDelay = 86_400_000;

interface Waiting {
  /** What is waited for. */
  readonly what: string;
  delay: number;
  timer: ReturnType<typeof setTimeout>;
  /** Whether it is begun anew the next time: the agent was closed meanwhile. */
  isInterrupted: boolean;
  /** Whether what is waited for next is the same question, made anew: a server that nobody reads must not be filled. */
  isAskedAnew: boolean;
}

/**
 * Says again what the other side does not answer, though a server has taken it: after a time that doubles, for as long as
 * the same is waited for, over restarts.
 */
export class Repetitions implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Pick<Interpreter, "sayAgain" | "repair">;
  readonly #speaker: Pick<RepairSpeaker, "say">;
  readonly #waiting = new Map<string, Waiting>();
  readonly #work = new Set<Promise<void>>();
  #isClosed = false;

  /** Repeats nothing yet. */
  constructor(
    context: AgentContext,
    interpreter: Pick<Interpreter, "sayAgain" | "repair">,
    speaker: Pick<RepairSpeaker, "say">,
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#speaker = speaker;
  }

  /** Looks at what a connection waits for. */
  look(connection: Connection): void {
    const { record: { id } } = connection;
    const what = awaited(connection);
    const before = this.#waiting.get(id);
    if (before?.what === what) return;
    this.stop(id);
    if (what === undefined || this.#isClosed) return;
    const delay = before?.isAskedAnew ? before.delay : this.#context.upgradeTimeout;
    const timer = setTimeout(() => this.#repeat(id), delay);
    this.#waiting.set(id, { what, delay, timer, isInterrupted: false, isAskedAnew: false });
  }

  /** Looks at what a connection has waited for when the agent was closed. */
  resume(connection: Connection): void {
    const { record: { id }, session } = connection;
    this.look(connection);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || session === null || unansweredRepair(session) === null) return;
    waiting.isInterrupted = isInterrupted(session);
    this.#speaker.say(id);
  }

  /** Nothing is waited for any more. */
  stop(id: string): void {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
  }

  /** Stops; it goes on after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const id of [...this.#waiting.keys()]) this.stop(id);
    await Promise.all(this.#work);
  }

  async #say(id: string, isAnew: boolean): Promise<void> {
    const { connections, now } = this.#context;
    const connection = connections.find(id);
    if (connection === undefined || connection.session === null) return;
    const stage = unansweredRepair(connection.session);
    if (stage === null) await this.#interpreter.sayAgain(id, true);
    else if (isAnew) await this.#interpreter.repair(id, stage);
    else if (isGivenUp(connection.session, now())) {
      const waiting = this.#waiting.get(id);
      if (waiting !== undefined) waiting.isAskedAnew = isInterrupted(connection.session);
      await this.#interpreter.repair(id, stage);
    } else this.#speaker.say(id);
  }

  #repeat(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    waiting.delay = Math.min(longestDelay, waiting.delay * 2);
    waiting.timer = setTimeout(() => this.#repeat(id), waiting.delay);
    const isAnew = waiting.isInterrupted;
    waiting.isInterrupted = false;
    // What cannot be stored now is said the next time.
    const work = this.#say(id, isAnew).catch((error) => this.#context.failed(id, error))
      .finally(() => this.#work.delete(work));
    this.#work.add(work);
  }
}

/** What the other side of a connection has to answer; `undefined`: nothing. */
function awaited({ session, sending }: Connection): string | undefined {
  const repair = session && unansweredRepair(session);
  if (repair) return `repair ${repair.type} ${repair.since}`;
  if (session === null || !isUpgrading(session)) return undefined;
  // Nothing can be sent any more.
  if (sending.every(({ status }) => status === "failed")) return undefined;
  return `upgrade ${session.status}`;
}
