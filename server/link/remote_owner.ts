import {
  type ClientCommand,
  type ClientTransmission,
  encodeBase64,
  randomBytes,
} from "../../protocol/mod.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { Forwarded } from "../broker/restoring.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import type { ByteStream } from "./byte_stream.ts";
import { frameError, LinkError } from "./error.ts";
import { KnownState } from "./known_state.ts";
import { Link } from "./link.ts";
import { incarnationLength, type OwnerMessage, readOwnerMessage } from "./messages.ts";
import { mostPushedBytes } from "./remote_connection.ts";

/** Pushes are told as taken when they are so many bytes of blocks. */
const toldBytes = mostPushedBytes / 2;
const messageIdLength = 6;
const shortestPause = 20;
const longestPause = 250;

/** What a session's process uses another one with. */
export interface RemoteOwnerParts {
  /** Makes a stream to whichever process owns the partition now. */
  readonly connect: (signal: AbortSignal) => Promise<ByteStream>;
  /** Closes a connection of which nobody can tell whether a command was executed, or that cannot be restored. */
  readonly close: (connection: BrokerConnection) => void;
  /** Milliseconds that a command waits for an owner that does not answer. @default 10 000 */
  readonly deadline?: number;
  /** Milliseconds after which an owner that says nothing, although it was asked, is connected to anew. @default 5 000 */
  readonly mostSilence?: number;
  /** How often a command is given to an owner before its connection is closed: it may be what ends them. @default 4 */
  readonly mostAttempts?: number;
  /** Bytes that may wait to be written. @default 1 MiB */
  readonly mostWaiting?: number;
  /** Is told what was answered `ERR INTERNAL`, which no owner counts. */
  readonly failed?: (command: ClientCommand["type"]) => void;
  /** Is told when a link has ended, and why. */
  readonly lost?: (error: LinkError) => void;
}

interface Connected {
  readonly connection: BrokerConnection;
  readonly number: number;
  readonly state: KnownState;
  readonly commands: Set<Command>;
  /** The link that its number was told on. */
  link: OwnerLink | null;
  /** Pushes that the owner does not know to be taken. */
  untold: number;
}

interface Command {
  readonly number: number;
  readonly from: Connected;
  readonly transmission: ClientTransmission;
  readonly messageId: string | null;
  /** By `#time`. */
  readonly since: number;
  readonly placed: () => void;
  /** The batch of the present link that it is in; 0: it waits to be written. */
  batch: number;
  attempts: number;
  /** It may have been written to a link that is lost, this process's or that of whoever has given it. */
  isUncertain: boolean;
}

type OwnerLink = Link<OwnerMessage>;

/** The broker of a partition that another process owns; a process that takes its place gets what is unanswered. */
export class RemoteOwner implements PartitionOwner, AsyncDisposable {
  readonly #parts: RemoteOwnerParts;
  readonly #deadline: number;
  readonly #mostSilence: number;
  readonly #incarnation = randomBytes(incarnationLength);
  readonly #connections = new Map<number, Connected>();
  readonly #byConnection = new Map<BrokerConnection, Connected>();
  readonly #commands = new Map<number, Command>();
  /** Commands that wait to be written, by number. */
  #unwritten = new Set<Command>();
  readonly #closed = new AbortController();
  readonly #work: Promise<void>;
  readonly #interval: number;
  readonly #watch: ReturnType<typeof setInterval>;
  /** The one that the owner has welcomed. */
  #link: OwnerLink | null = null;
  #lastConnection = 0;
  #lastCommand = 0;
  /** Milliseconds, looked at seldom; a time in which this process did nothing counts little. */
  #time = 0;
  #lookedAt = performance.now();
  /** By `#time`. */
  #heard = 0;
  #forwarded = 0;

  constructor(parts: RemoteOwnerParts) {
    this.#parts = parts;
    this.#deadline = parts.deadline ?? 10_000;
    this.#mostSilence = parts.mostSilence ?? 5_000;
    this.#interval = Math.max(1, Math.min(this.#deadline, this.#mostSilence) / 10);
    this.#watch = setInterval(() => this.#look(), this.#interval);
    this.#work = this.#run();
  }

  /** Whether there is a link to an owner. */
  get isLinked(): boolean {
    return this.#link !== null;
  }

  /** Commands that are not answered yet. */
  get pending(): number {
    return this.#commands.size;
  }

  /** Commands that were written, those that were given again included. */
  get forwarded(): number {
    return this.#forwarded;
  }

  submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void> {
    if (connection.closed || this.#closed.signal.aborted) {
      this.#answerFailure(connection, transmission);
      return done;
    }
    const from = this.#connected(connection);
    const { command: asked, queueId } = transmission;
    const messageId = asked.type === "SEND"
      ? forwarded?.messageId ?? encodeBase64(randomBytes(messageIdLength))
      : from.state.submitted(asked, queueId);
    const canWrite = this.#link !== null && this.#unwritten.size === 0 && this.#link.hasRoom;
    const waits = canWrite ? null : Promise.withResolvers<void>();
    const command: Command = {
      number: ++this.#lastCommand,
      from,
      transmission,
      messageId,
      since: this.#time,
      placed: waits?.resolve ?? noop,
      batch: 0,
      attempts: 0,
      isUncertain: forwarded?.isRepeated === true,
    };
    this.#commands.set(command.number, command);
    from.commands.add(command);
    if (waits === null) this.#write(this.#link!, command);
    else this.#unwritten.add(command);
    return waits?.promise ?? done;
  }

  isOpened(connection: BrokerConnection, queueId: string): boolean {
    return this.#byConnection.get(connection)?.state.isOpened(queueId) === true;
  }

  /** How many queue IDs a connection has open, those that it is about to open included. */
  opened(connection: BrokerConnection): number {
    return this.#byConnection.get(connection)?.state.openedCount ?? 0;
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#byConnection.get(connection)?.state.isSubscribed === true;
  }

  resume(connection: BrokerConnection): void {
    const connected = this.#byConnection.get(connection);
    if (connected === undefined || connected.link === null) return;
    const { number, untold } = connected;
    if (untold * connection.blockSize < toldBytes || connection.isFull) return;
    connected.untold = 0;
    connected.link.send({ type: "TAKEN", connection: number, pushes: untold });
  }

  /** Commands that are not answered yet are answered now, as nobody waits for what the owner says. */
  disconnect(connection: BrokerConnection): void {
    const connected = this.#byConnection.get(connection);
    if (connected === undefined) return;
    this.#byConnection.delete(connection);
    this.#connections.delete(connected.number);
    for (const command of connected.commands) this.#fail(command);
    if (connected.link !== null && connected.link === this.#link) {
      connected.link.send({ type: "DISCONNECT", connection: connected.number });
    }
  }

  /** Ends the link; commands that are not answered are treated as after the deadline. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    clearInterval(this.#watch);
    await this.#work;
    for (const command of [...this.#commands.values()]) this.#expire(command);
  }

  #connected(connection: BrokerConnection): Connected {
    const known = this.#byConnection.get(connection);
    if (known !== undefined) return known;
    const number = ++this.#lastConnection;
    const state = new KnownState();
    const connected: Connected = { connection, number, state, commands: new Set(), link: null, untold: 0 };
    this.#byConnection.set(connection, connected);
    this.#connections.set(number, connected);
    return connected;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    let pause = shortestPause;
    while (!signal.aborted) {
      try {
        const stream = await this.#parts.connect(signal);
        if (await this.#use(stream)) pause = shortestPause;
      } catch (error) {
        if (!signal.aborted) {
          this.#parts.lost?.(new LinkError("NETWORK", "Cannot reach the owner", { cause: error }));
        }
      }
      if (!signal.aborted) await delay(pause, signal);
      pause = Math.min(longestPause, pause * 2);
    }
  }

  /** `true`: it was welcomed. */
  async #use(stream: ByteStream): Promise<boolean> {
    const { mostWaiting, lost } = this.#parts;
    await using link: OwnerLink = new Link<OwnerMessage>(stream, {
      decode: readOwnerMessage,
      receive: (message) => this.#receive(link, message),
      drained: () => this.#flush(),
      ...(mostWaiting === undefined ? {} : { mostWaiting }),
    });
    const end = () => link.end(new LinkError("CLOSED", "Cannot use the link: this side has closed it"));
    this.#closed.signal.addEventListener("abort", end);
    if (this.#closed.signal.aborted) end();
    const patience = setTimeout(() => {
      if (this.#link !== link) link.end(silentError());
    }, this.#mostSilence);
    link.send({ type: "HELLO", incarnation: this.#incarnation });
    const error = await link.ended;
    clearTimeout(patience);
    this.#closed.signal.removeEventListener("abort", end);
    const wasWelcome = this.#link === link;
    if (wasWelcome) this.#lost(link);
    lost?.(error);
    return wasWelcome;
  }

  #receive(link: OwnerLink, message: OwnerMessage): void {
    if (message.type === "WELCOME") {
      if (this.#link !== null) throw frameError("WELCOME comes again");
      return this.#welcomed(link, message.restores);
    }
    if (this.#link !== link) throw frameError(`${message.type} comes before WELCOME`);
    this.#heard = this.#time;
    if (message.type === "PONG") return;
    const connected = this.#connections.get(message.connection);
    // It is gone, and the owner does not know yet.
    if (connected === undefined) return;
    switch (message.type) {
      case "ANSWER":
        return this.#answered(connected, message);
      case "NOTIFY": {
        const { queueId, age, response } = message;
        connected.untold++;
        connected.state.notified(queueId, response);
        const since = age === null ? undefined : performance.now() - age;
        return connected.connection.notify({ corrId: noCorrId, queueId, response }, since);
      }
      case "ENDED":
        return connected.state.ended(message.queueId);
      case "CHARGE":
        return connected.connection.charge?.(message.budget, message.work);
      case "CLOSE":
        return this.#close(connected.connection);
      default:
        return message satisfies never;
    }
  }

  #answered(connected: Connected, answer: OwnerMessage & { type: "ANSWER" }): void {
    const command = this.#commands.get(answer.command);
    if (command === undefined) return;
    if (command.from !== connected) throw frameError("the command is of another connection");
    this.#remove(command);
    const { transmission: { corrId, queueId, command: asked } } = command;
    const { response, rank } = answer;
    connected.state.answered(asked, queueId, response, rank);
    connected.connection.answer({ corrId, queueId: answer.queueId ?? queueId, response });
  }

  #write(link: OwnerLink, command: Command): void {
    const { from, number, messageId, isUncertain: isRepeated, transmission } = command;
    this.#connect(link, from);
    command.batch = link.send({
      type: "SUBMIT",
      connection: from.number,
      command: number,
      messageId,
      isRepeated,
      transmission,
    });
    command.attempts++;
    this.#forwarded++;
    command.placed();
  }

  #connect(link: OwnerLink, connected: Connected): void {
    if (connected.link === link) return;
    const { number, connection: { blockSize, binding, client } } = connected;
    connected.link = link;
    connected.untold = 0;
    link.send({ type: "CONNECT", connection: number, blockSize, binding, client });
  }

  #flush(): void {
    const link = this.#link;
    if (link === null) return;
    for (const command of this.#unwritten) {
      if (!link.hasRoom) return;
      this.#unwritten.delete(command);
      this.#write(link, command);
    }
  }

  /** What its connections had is restored before their commands follow. */
  #welcomed(link: OwnerLink, restores: boolean): void {
    this.#link = link;
    this.#heard = this.#time;
    for (const connected of [...this.#connections.values()]) {
      if (restores) this.#restore(link, connected);
      else if (!isIndependent(connected)) this.#close(connected.connection);
    }
    this.#unwritten = new Set(this.#commands.values());
    this.#flush();
  }

  #restore(link: OwnerLink, connected: Connected): void {
    const { number: connection, state } = connected;
    if (state.isEmpty) return;
    this.#connect(link, connected);
    for (const subscription of state.subscriptions()) {
      link.send({ type: "RESTORE", connection, subscription });
    }
    for (const queueId of state.opened) link.send({ type: "REOPEN", connection, queueId });
  }

  #lost(link: OwnerLink): void {
    this.#link = null;
    for (const connected of this.#connections.values()) connected.link = null;
    for (const command of [...this.#commands.values()]) {
      if (command.batch > 0 && command.batch <= link.written) command.isUncertain = true;
      command.batch = 0;
      if (command.attempts >= (this.#parts.mostAttempts ?? 4)) this.#close(command.from.connection);
    }
    this.#unwritten = new Set(this.#commands.values());
  }

  /** The deadline of a command runs while the owner says nothing, and in any case when it has gone through a loss. */
  #look(): void {
    const now = performance.now();
    this.#time += Math.min(now - this.#lookedAt, 2 * this.#interval);
    this.#lookedAt = now;
    const link = this.#link;
    if (link !== null && this.#commands.size > 0) {
      if (this.#time - this.#heard > this.#mostSilence) link.end(silentError());
      else if (this.#time - this.#heard > this.#mostSilence / 4) link.send({ type: "PING" });
    } else this.#heard = this.#time;
    for (const command of [...this.#commands.values()]) {
      const since = command.isUncertain || link === null
        ? command.since
        : Math.max(command.since, this.#heard);
      if (this.#time - since > this.#deadline) this.#expire(command);
      // Those that follow are younger.
      else if (!command.isUncertain) break;
    }
  }

  #expire(command: Command): void {
    const link = this.#link;
    const isWritten = command.batch > 0 && link !== null && command.batch <= link.written;
    if (command.isUncertain || isWritten) this.#close(command.from.connection);
    this.#fail(command);
  }

  #close(connection: BrokerConnection): void {
    this.#parts.close(connection);
    this.disconnect(connection);
  }

  #fail(command: Command): void {
    if (!this.#commands.has(command.number)) return;
    this.#remove(command);
    command.placed();
    const { from: { connection, state }, transmission } = command;
    state.answered(transmission.command, transmission.queueId, failed, null);
    this.#answerFailure(connection, transmission);
  }

  #answerFailure(connection: BrokerConnection, { corrId, queueId, command }: ClientTransmission): void {
    if (!connection.closed) this.#parts.failed?.(command.type);
    connection.answer({ corrId, queueId, response: failed });
  }

  #remove(command: Command): void {
    this.#commands.delete(command.number);
    this.#unwritten.delete(command);
    command.from.commands.delete(command);
  }
}

const failed = { type: "ERR", error: "INTERNAL" } as const;
const done = Promise.resolve();
const noCorrId = new Uint8Array(0);

function noop(): void {}

/** Whether a connection needs nothing that its owner knew. */
function isIndependent({ state, commands }: Connected): boolean {
  return state.isEmpty &&
    ![...commands].some(({ isUncertain, transmission }) =>
      isUncertain && transmission.command.type === "NEW"
    );
}

function silentError(): LinkError {
  return new LinkError("SILENT", "Cannot use the link: the owner says nothing");
}

function delay(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, time);
    signal.addEventListener("abort", end);
  });
}
