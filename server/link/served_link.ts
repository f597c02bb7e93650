import type { ServerResponse, ServerTransmission } from "../../protocol/mod.ts";
import type { Restoring } from "../broker/restoring.ts";
import type { KnownSubscription, Rank } from "../broker/subscriptions.ts";
import type { Turns } from "../guard/turns.ts";
import type { AnsweredCommands, Outcome } from "./answered.ts";
import type { ByteStream } from "./byte_stream.ts";
import { frameError, type LinkError } from "./error.ts";
import { Link } from "./link.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import { incarnationLength, type OwnerMessage, readSessionMessage, type SessionMessage } from "./messages.ts";
import { RemoteConnection, type WaitingWork } from "./remote_connection.ts";
import { putUint48 } from "./wire.ts";

/** Bytes of commands that may be in work before no more are read. */
const mostInWork = 8 * 1_048_576;
/** Bytes that a command takes beside its transmission. */
const perCommand = 512;
/** Of a subscription that nobody knows the rank of: every other one is later. */
const lowestRank: Rank = { epoch: 0, number: 0 };

/** What a link is served with. */
export interface ServedLinkParts {
  readonly owner: PartitionOwner;
  /** Whose turn it is among all connections of this process. @default it is everyone's */
  readonly turns?: Pick<Turns, "next" | "hasTime">;
  /** The commands of the session's process that has said hello. */
  readonly greet: (link: ServedLink, incarnation: Uint8Array) => AnsweredCommands<RemoteConnection>;
  readonly mostWaiting?: number;
  /** Whether the owner knows which repeated commands were executed. */
  readonly knowsRepeated: boolean;
  /** Is told that the process runs, and may end the link. */
  readonly runs?: () => void;
}

interface Session {
  readonly incarnation: Uint8Array<ArrayBuffer>;
  readonly commands: AnsweredCommands<RemoteConnection>;
}

interface InWork {
  readonly type: string;
  readonly isRepeated: boolean;
  readonly queueId: string;
  readonly bytes: number;
}

type Submit = SessionMessage & { type: "SUBMIT" };

/** The owner's end of a link: a connection for each one that the session's process names. */
export class ServedLink implements AsyncDisposable {
  readonly #parts: ServedLinkParts;
  readonly #link: Link<SessionMessage>;
  readonly #connections = new Map<number, RemoteConnection>();
  readonly #inWork = new Map<number, InWork>();
  readonly #heldBack = new Set<RemoteConnection>();
  /**
   * What came again while the link before this one had it in work: told whether it is executed again. What its connection
   * gives later waits for that.
   */
  readonly #adopted = new Map<number, (isAgain: boolean) => void>();
  #session: Session | null = null;
  #bytesInWork = 0;
  #lastCommand = 0;
  #wakeReader: (() => void) | null = null;

  constructor(stream: ByteStream, parts: ServedLinkParts) {
    this.#parts = parts;
    this.#link = new Link(stream, {
      decode: readSessionMessage,
      receive: (message) => this.#receive(message),
      ready: () => this.#ready(),
      drained: () => this.#drained(),
      acknowledged: (batch) => this.#session?.commands.acknowledged(batch),
      ...(parts.mostWaiting === undefined ? {} : { mostWaiting: parts.mostWaiting }),
    });
    void this.#link.ended.then((error) => this.end(error));
  }

  get ended(): Promise<LinkError> {
    return this.#link.ended;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Commands that are not answered yet. */
  get inWork(): number {
    return this.#inWork.size;
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#link.waiting;
  }

  send(message: OwnerMessage): void {
    this.#link.send(message);
  }

  /** Ends the link and, at once, all its connections. */
  end(error: LinkError): void {
    this.#link.end(error);
    for (const command of [...this.#adopted.keys()]) this.#settle(command, false);
    for (const connection of this.#connections.values()) {
      for (const work of connection.waiting.splice(0)) {
        if ("restore" in work) continue;
        // The session's process gives it again.
        this.#session!.commands.cancel(work.command);
        this.#forget(work.command);
      }
      this.#disconnect(connection);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
    this.end(await this.#link.ended);
  }

  /** Whether pushes wait because so much waits to be written. */
  holdsBack(connection: RemoteConnection): boolean {
    if (this.#link.hasRoom) return false;
    this.#heldBack.add(connection);
    return true;
  }

  /** What the broker answers a command. */
  answer(connection: RemoteConnection, command: number, { queueId, response }: ServerTransmission): void {
    const work = this.#forget(command);
    if (work === undefined) return;
    const subscribed = response.type === "IDS"
      ? response.recipientId
      : work.type === "SUB" || work.type === "SUBN"
      ? queueId
      : null;
    const rank = subscribed === null || response.type === "ERR"
      ? null
      : this.#parts.owner.restoring?.rankOf(connection, subscribed) ?? lowestRank;
    const isUnknown = connection.isGivenUp ||
      // Who has failed to get an answer for a connection that is gone could not close it.
      connection.closed && isInternal(response) ||
      // What is refused now may have been executed before: a queue that is gone may have been deleted by this very DEL.
      work.isRepeated && !this.#parts.knowsRepeated && isKept(work.type) && response.type === "ERR";
    const outcome: Outcome = isUnknown
      ? "unknown"
      : { queueId: queueId === work.queueId ? null : queueId, rank, response };
    if (!isKept(work.type)) {
      if (!connection.closed) this.#answer(connection, command, outcome);
      return;
    }
    const { commands } = this.#session!;
    const target = commands.finish(command) ?? connection;
    // What the connection had opened is gone with it: that it was refused says nothing to the one that has followed.
    if (connection.closed && outcome !== "unknown" && response.type === "ERR") {
      if (target !== connection) target.submitAgain(command);
      return;
    }
    // Of another link when this one was lost meanwhile.
    if (target !== connection) target.answerKnown(command, outcome);
    else if (!this.#link.isOpen) commands.keepUnsent(command, outcome);
    else if (!connection.closed) commands.keep(command, outcome, this.#answer(connection, command, outcome));
  }

  /** Executes what the link before this one had in work and has not executed. */
  submitAgain(command: number): void {
    this.#settle(command, true);
  }

  /** Tells what has become of a command that was given before, on another link of the same session's process. */
  answerKnown(connection: RemoteConnection, command: number, outcome: Outcome): void {
    this.#settle(command, false);
    const { commands } = this.#session!;
    if (!this.#link.isOpen) return commands.keepUnsent(command, outcome);
    if (connection.closed) return;
    if (
      outcome !== "unknown" && outcome.response.type === "IDS" && this.#parts.owner.restoring !== undefined
    ) {
      const rank = outcome.rank ?? lowestRank;
      const subscription = { recipientId: outcome.response.recipientId, window: null, rank, delivered: [] };
      this.#subscribe(connection, subscription);
    }
    commands.keep(command, outcome, this.#answer(connection, command, outcome));
  }

  /** The number of the batch that it is sent in. */
  #answer({ number: connection }: RemoteConnection, command: number, outcome: Outcome): number {
    return this.#link.send(
      outcome === "unknown"
        ? { type: "CLOSE", connection }
        : { type: "ANSWER", connection, command, ...outcome },
    );
  }

  #receive(message: SessionMessage): void {
    this.#parts.runs?.();
    if (!this.#link.isOpen) return;
    if (message.type === "HELLO") return this.#greet(message.incarnation);
    if (this.#session === null) throw frameError(`${message.type} comes before HELLO`);
    switch (message.type) {
      case "CONNECT":
        return this.#connect(message);
      case "SUBMIT":
        return this.#submit(this.#connection(message.connection), message, this.#session);
      case "TAKEN": {
        const connection = this.#connection(message.connection);
        if (!connection.taken(message.pushes)) throw frameError("more pushes are taken than were sent");
        return this.#parts.owner.resume(connection);
      }
      case "DISCONNECT":
        return this.#disconnect(this.#connection(message.connection));
      case "RESTORE":
        return this.#subscribe(this.#connection(message.connection), message.subscription);
      case "REOPEN": {
        const connection = this.#connection(message.connection);
        const restoring = this.#restoring;
        return this.#enqueue(connection, { restore: () => restoring.open(connection, message.queueId) });
      }
      case "PING":
        return void this.#link.send({ type: "PONG" });
      default:
        return message satisfies never;
    }
  }

  #greet(incarnation: Uint8Array<ArrayBuffer>): void {
    if (this.#session !== null) throw frameError("HELLO comes again");
    this.#session = { incarnation, commands: this.#parts.greet(this, incarnation) };
    this.#link.send({ type: "WELCOME", restores: this.#parts.owner.restoring !== undefined });
  }

  #connect(message: SessionMessage & { type: "CONNECT" }): void {
    if (this.#connections.has(message.connection)) throw frameError("a connection's number comes again");
    this.#connections.set(message.connection, new RemoteConnection(this, message));
  }

  #connection(number: number): RemoteConnection {
    const connection = this.#connections.get(number);
    if (connection === undefined) throw frameError("there is no connection of that number");
    return connection;
  }

  get #restoring(): Restoring {
    const { restoring } = this.#parts.owner;
    if (restoring === undefined) throw frameError("this owner does not restore anything");
    return restoring;
  }

  #subscribe(connection: RemoteConnection, subscription: KnownSubscription): void {
    const restoring = this.#restoring;
    this.#enqueue(connection, { restore: () => restoring.subscribe(connection, subscription) });
  }

  #disconnect(connection: RemoteConnection): void {
    this.#connections.delete(connection.number);
    this.#heldBack.delete(connection);
    connection.closed = true;
    this.#parts.owner.disconnect(connection);
  }

  #submit(connection: RemoteConnection, message: Submit, session: Session): void {
    const { command, transmission: { command: { type } } } = message;
    if (command <= this.#lastCommand) throw frameError("a command's number comes again");
    this.#lastCommand = command;
    if (isKept(type)) {
      const known = session.commands.begin(command, connection);
      if (known === "in work") return this.#adopt(connection, message, session);
      if (known !== null) return this.answerKnown(connection, command, known);
    }
    this.#enqueue(connection, this.#workOf(message, session));
  }

  /** Keeps the place of what may have to be executed again. */
  #adopt(connection: RemoteConnection, message: Submit, session: Session): void {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#adopted.set(message.command, resolve);
    this.#enqueue(connection, {
      restore: async () => {
        if (!await promise || connection.closed || !this.#link.isOpen) return;
        session.commands.begin(message.command, connection);
        // It is not one that may have been executed any more.
        connection.waiting.unshift(this.#workOf({ ...message, isRepeated: false }, session));
      },
    });
  }

  #settle(command: number, isAgain: boolean): void {
    this.#adopted.get(command)?.(isAgain);
    this.#adopted.delete(command);
  }

  #workOf(message: Submit, session: Session): WaitingWork {
    const { command, messageId, isRepeated, transmission } = message;
    const { type } = transmission.command;
    const bytes = perCommand + transmission.signed.length;
    this.#inWork.set(command, { type, isRepeated, queueId: transmission.queueId, bytes });
    this.#bytesInWork += bytes;
    const commandId = idOf(session.incarnation, command);
    return {
      command,
      transmission: { ...transmission, corrId: commandId.subarray(incarnationLength) },
      forwarded: { commandId, messageId, isRepeated },
    };
  }

  #enqueue(connection: RemoteConnection, work: WaitingWork): void {
    connection.waiting.push(work);
    if (!connection.isPlacing) void this.#place(connection);
  }

  /** Gives the commands of a connection their places in the order of their queues, one after the other. */
  async #place(connection: RemoteConnection): Promise<void> {
    const { owner, turns } = this.#parts;
    connection.isPlacing = true;
    for (;;) {
      const next = connection.waiting[0];
      if (next === undefined) break;
      if ("restore" in next) {
        connection.waiting.shift();
        await next.restore();
        continue;
      }
      const { transmission, forwarded } = next;
      const isLittle = transmission.signature.length === 0 &&
        owner.isOpened(connection, transmission.queueId);
      if (turns !== undefined && !(isLittle && turns.hasTime())) await turns.next(connection);
      // The link was lost meanwhile.
      if (connection.waiting.shift() === undefined) break;
      await owner.submit(connection, transmission, forwarded);
    }
    connection.isPlacing = false;
  }

  #forget(command: number): InWork | undefined {
    const work = this.#inWork.get(command);
    if (work === undefined) return undefined;
    this.#inWork.delete(command);
    this.#bytesInWork -= work.bytes;
    this.#wake();
    return work;
  }

  /** The session's process always reads, so what waits to be written goes out while nothing is read. */
  #ready(): Promise<void> | null {
    if (this.#isReady()) return null;
    return new Promise((resolve) => this.#wakeReader = resolve);
  }

  #isReady(): boolean {
    return !this.#link.isOpen || this.#bytesInWork < mostInWork && this.#link.hasRoom;
  }

  #wake(): void {
    if (this.#wakeReader === null || !this.#isReady()) return;
    this.#wakeReader();
    this.#wakeReader = null;
  }

  #drained(): void {
    this.#wake();
    const heldBack = [...this.#heldBack];
    this.#heldBack.clear();
    for (const connection of heldBack) this.#parts.owner.resume(connection);
  }
}

/** Whether a command must not be executed twice; others can be, and some must: the connection is another one. */
function isKept(type: string): boolean {
  return type === "SEND" || type === "NEW" || type === "KEY" || type === "OFF" || type === "DEL";
}

function isInternal(response: ServerResponse): boolean {
  return response.type === "ERR" && response.error === "INTERNAL";
}

function idOf(incarnation: Uint8Array, command: number): Uint8Array<ArrayBuffer> {
  const id = new Uint8Array(incarnationLength + 6);
  id.set(incarnation);
  putUint48(id, incarnationLength, command);
  return id;
}
