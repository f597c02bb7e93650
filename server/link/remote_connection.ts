import type { ClientTransmission, ServerTransmission } from "../../protocol/mod.ts";
import type { Forwarded } from "../broker/restoring.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import type { BudgetName } from "../guard/client_network.ts";
import type { Outcome } from "./answered.ts";
import type { SessionMessage } from "./messages.ts";
import type { ServedLink } from "./served_link.ts";
import { getUint48 } from "./wire.ts";

/** Bytes of blocks that may be pushed before the session's process says that its peer has taken some. */
export const mostPushedBytes = 262_144;

/** What waits for its turn. */
export type WaitingWork =
  | {
    readonly command: number;
    readonly transmission: ClientTransmission;
    readonly forwarded: Forwarded;
  }
  | { readonly restore: () => Promise<void> };

/** A connection of another process's session, as the broker sees it. */
export class RemoteConnection implements BrokerConnection {
  readonly number: number;
  readonly blockSize: number;
  readonly binding: Uint8Array;
  readonly client: string | null;
  closed = false;
  /** Whether nobody can tell what has become of its commands. */
  isGivenUp = false;
  /** What has no place in the order of its queue yet. */
  readonly waiting: WaitingWork[] = [];
  /** Whether they are being given their places. */
  isPlacing = false;
  readonly #link: ServedLink;
  #pushes = 0;

  constructor(
    link: ServedLink,
    { connection, blockSize, binding, client }: SessionMessage & { type: "CONNECT" },
  ) {
    this.#link = link;
    this.number = connection;
    this.blockSize = blockSize;
    this.binding = binding;
    this.client = client;
  }

  get isFull(): boolean {
    return this.#pushes * this.blockSize >= mostPushedBytes || this.#link.holdsBack(this);
  }

  /** The corrId is the command's number: the client's own stays where its session is. */
  answer(transmission: ServerTransmission): void {
    this.#link.answer(this, getUint48(transmission.corrId, 0), transmission);
  }

  notify({ queueId, response }: ServerTransmission, since?: number): void {
    if (this.closed) return;
    this.#pushes++;
    const age = since === undefined ? null : Math.max(0, performance.now() - since);
    this.#link.send({ type: "NOTIFY", connection: this.number, queueId, age, response });
  }

  /** What has become of a command that was given for the connection before this one. */
  answerKnown(command: number, outcome: Outcome): void {
    this.#link.answerKnown(this, command, outcome);
  }

  charge(budget: BudgetName, work: number): void {
    if (!this.closed) this.#link.send({ type: "CHARGE", connection: this.number, budget, work });
  }

  /** Answers that follow are not believed: whoever has failed to get them gives others. */
  close(): void {
    if (this.isGivenUp) return;
    this.isGivenUp = true;
    if (!this.closed) this.#link.send({ type: "CLOSE", connection: this.number });
  }

  /** A command of the connection before this one was not executed, as that was gone. */
  submitAgain(command: number): void {
    this.#link.submitAgain(command);
  }

  ended(queueId: string): void {
    if (!this.closed) this.#link.send({ type: "ENDED", connection: this.number, queueId });
  }

  /** `false`: so many were never pushed. */
  taken(pushes: number): boolean {
    if (pushes > this.#pushes) return false;
    this.#pushes -= pushes;
    return true;
  }
}
