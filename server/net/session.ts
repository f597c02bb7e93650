import {
  answerRekey,
  type BlockChannel,
  type ClientCommand,
  type ClientTransmission,
  decodeClientTransmission,
  type Decoded,
  type ListedExtension,
  passwordExtension,
  type ServerExtension,
  type ServerTransmission,
  serverTransmissionParts,
  type TransmissionError,
  TransportError,
} from "../../protocol/mod.ts";
import { fitAnswer } from "../broker/answer.ts";
import { nextTurn } from "../next_turn.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { LimitSource } from "../config/limits.ts";
import type { Metrics, Refusal } from "../observe/metrics.ts";
import type { Admitted } from "../guard/admission.ts";
import type { BudgetName } from "../guard/client_network.ts";
import type { NewQueues } from "../guard/new_queues.ts";
import type { WorkBudget, WorkBudgets } from "../guard/work_budget.ts";
import type { MemoryGuard } from "../guard/memory_guard.ts";
import type { Turns } from "../guard/turns.ts";
import { Creator } from "./creator.ts";
import { WaitingPushes } from "./waiting_pushes.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";

/** The largest block: each batch has a write deadline of its own. */
const batchBytes = 65_536;
/** Bytes that each of `limits.inWork` transmissions may have: of larger blocks fewer are in work. */
const bytesInWork = 8_192;
/** Commands after the first one that a connection has done in one turn. */
const commandsPerTurn = 15;
/** Commands that sessions answer, whose errors count by name. */
const ofSession: ReadonlySet<string> = new Set(["PASS", "REKEY"]);
/** Milliseconds in which a peer has to take what was written last. */
const lingerTime = 1_000;
/** The same when a server stops, and how long ago a peer had sent something that still reads answers. */
const activeTime = 10_000;

export interface SessionParts {
  readonly broker: PartitionOwner;
  readonly limits: LimitSource;
  readonly metrics: Metrics;
  readonly budgets: WorkBudgets;
  readonly memory: MemoryGuard;
  readonly turns: Turns;
  /** What clients are told that they can use. */
  readonly extensions: ReadonlySet<ServerExtension>;
  /** Who may create queues. */
  readonly newQueues: NewQueues;
}

export interface SessionOptions extends SessionParts {
  /** Whether the client was told of PASS. */
  readonly knowsPass: boolean;
  /** Is told that the process runs, and may close the session. */
  readonly runs: () => void;
}

interface Outgoing {
  readonly transmission: ServerTransmission;
  readonly isAnswer: boolean;
  readonly since?: number | undefined;
  readonly written?: (() => void) | undefined;
}

/** Reading stops while `limits.inWork` transmissions, or fewer large ones, are in work. */
export class Session implements BrokerConnection {
  readonly #blocks: BlockChannel;
  readonly #broker: PartitionOwner;
  readonly #limits: LimitSource;
  readonly #metrics: Metrics;
  readonly #budgets: WorkBudgets;
  readonly #memory: MemoryGuard;
  readonly #turns: Turns;
  readonly #runs: () => void;
  readonly #extensions: ReadonlySet<ServerExtension>;
  readonly #newQueues: NewQueues;
  readonly #knowsPass: boolean;
  readonly #creator: Creator;
  readonly #began: number = performance.now();
  #hasCommands = false;
  /** Commands that were done in the turn of the one before them. */
  #inTurn = 0;
  readonly client: string | null;
  lastRead: number = performance.now();
  writingSince = Infinity;
  #isStopping = false;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #endPause: () => void = () => {};
  #outbox: Outgoing[] = [];
  readonly #pushes: WaitingPushes;
  #inWork = 0;
  #held = 0;
  #closed = false;
  #writerIdle: PromiseWithResolvers<void> | null = null;
  #readerIdle: PromiseWithResolvers<void> | null = null;

  constructor(blocks: BlockChannel, parts: SessionOptions, from: Pick<Admitted, "client" | "address">) {
    this.#blocks = blocks;
    this.#broker = parts.broker;
    this.#limits = parts.limits;
    this.#metrics = parts.metrics;
    this.#budgets = parts.budgets;
    this.#memory = parts.memory;
    this.#pushes = new WaitingPushes(blocks.blockSize, (bytes) => this.#hold(bytes));
    this.#turns = parts.turns;
    this.#runs = parts.runs;
    this.#extensions = parts.extensions;
    this.#newQueues = parts.newQueues;
    this.#knowsPass = parts.knowsPass;
    this.client = from.client;
    this.#creator = new Creator(from.address, {
      newQueues: parts.newQueues,
      budget: parts.budgets.refused,
      metrics: parts.metrics,
      source: this,
    });
  }

  get blockSize(): number {
    return this.#blocks.blockSize;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get binding(): Uint8Array {
    return this.#blocks.binding;
  }

  get isFull(): boolean {
    return this.#pushes.isFull;
  }

  /** Bytes of what is read, in work and waits to be written. */
  get held(): number {
    return this.#held;
  }

  answer(transmission: ServerTransmission): void {
    this.#hold(-this.blockSize);
    const { answer, push } = fitAnswer(transmission, this.blockSize);
    this.#enqueue({ transmission: answer, isAnswer: true });
    if (push !== null) this.notify(push);
  }

  notify(transmission: ServerTransmission, since?: number, written?: () => void): void {
    this.#enqueue({ transmission, isAnswer: false, since, written });
  }

  charge(budget: BudgetName, work: number): void {
    this.#budgets[budget].chargeConnection(this, work);
  }

  async run(): Promise<void> {
    this.#hold(this.blockSize);
    const writing = this.#writeLoop();
    try {
      await this.#readLoop();
      await this.#answered(1);
      await this.#end();
    } catch {
      // The peer has broken the connection, or close() has: there is nobody to tell.
    } finally {
      await this.close();
      await writing;
      this.#hold(-this.blockSize);
    }
  }

  /** What a peer sends after `close()` has the system drop what it has not taken; most of those that are silent are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const isActive = performance.now() - this.lastRead < activeTime;
    try {
      await this.#answered(1);
      if (this.#closed) return;
      this.#stopTimer = setTimeout(() => this.close(), isActive ? activeTime : lingerTime);
      await this.#blocks.end();
    } catch {
      await this.close();
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#stopTimer);
    this.#endPause();
    this.#broker.disconnect(this);
    this.#outbox = [];
    this.#pushes.close();
    this.#wakeWriter();
    this.#wakeReader();
    return this.#blocks.close();
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#memory.hold(bytes);
  }

  async #readLoop(): Promise<void> {
    for (;;) {
      await this.#answered(Math.max(1, this.#limits().inWork * Math.min(1, bytesInWork / this.blockSize)));
      await this.#paidFor("refused_time", this.#budgets.refused);
      await this.#paidFor("extra_time", this.#budgets.extra);
      const { isReady } = this.#blocks;
      const content = await this.#read();
      if (content === null) return;
      this.#runs();
      if (this.#closed) return;
      this.lastRead = performance.now();
      this.#metrics.bytesReceived += this.blockSize;
      // What comes now is not executed; the peer learns that when the connection ends.
      if (this.#isStopping) continue;
      this.#inWork++;
      this.#hold(this.blockSize);
      const decoded = content === "bad block" ? null : this.#decode(content);
      if (!this.#isOfThisTurn(decoded, isReady)) await this.#turns.next(this);
      if (decoded === null) {
        this.#metrics.answered("?", "ERR BLOCK");
        return this.answer(badBlock);
      }
      if (!decoded.ok) {
        const name = decoded.command !== undefined && ofSession.has(decoded.command) ? decoded.command : "?";
        this.#refuse(decoded, name);
        if (name === "REKEY") return;
      } else if (!await this.#execute(decoded.value, decoded.value.command)) return;
      this.#hasCommands = true;
    }
  }

  /** `false`: the connection ends. */
  async #execute(transmission: ClientTransmission, command: ClientCommand): Promise<boolean> {
    switch (command.type) {
      case "REKEY":
        return await this.#rekey(transmission, command.payload);
      case "PASS":
        await this.#pass(transmission, command.proof);
        return true;
      case "NEW":
        // The same error as for a queue that is not there: 0.3 has none that says more, and clients do not try again.
        if (!this.#creator.mayCreate()) {
          this.#metrics.refuse("new_queue_access");
          this.#refuse({ corrId: transmission.corrId, queueId: "", error: "AUTH" }, "NEW");
          return true;
        }
    }
    await this.#broker.submit(this, transmission);
    return true;
  }

  /** extensions.md pass1 */
  async #pass({ corrId }: ClientTransmission, proof: Uint8Array): Promise<void> {
    const error = await this.#creator.pass(proof, this.binding);
    if (error !== null) return this.#refuse({ corrId, queueId: "", error }, "PASS");
    this.#metrics.answered("PASS", "OK");
    this.answer({ corrId, queueId: "", response: { type: "OK" } });
  }

  #refuse({ corrId, queueId, error }: TransmissionError, name: string): void {
    this.#metrics.answered(name, `ERR ${error}`);
    this.answer({ corrId, queueId, response: { type: "ERR", error } });
  }

  /** Commands without signatures on opened queues that have come together are done together: each is little work. */
  #isOfThisTurn(decoded: Decoded<ClientTransmission> | null, isReady: boolean): boolean {
    const isLittle = decoded?.ok === true && decoded.value.signature.length === 0 &&
      this.#broker.isOpened(this, decoded.value.queueId);
    const isOfThisTurn = isReady && isLittle && this.#inTurn < commandsPerTurn && this.#turns.hasTime();
    this.#inTurn = isOfThisTurn ? this.#inTurn + 1 : 0;
    return this.#inTurn > 0;
  }

  #decode(content: Uint8Array<ArrayBuffer>): Decoded<ClientTransmission> {
    return decodeClientTransmission(content, {
      has: (extension) => this.#has(extension),
      isOpened: (queueId) => this.#broker.isOpened(this, queueId),
      isLent: true,
    });
  }

  #has(extension: ListedExtension): boolean {
    if (extension !== passwordExtension) return this.#extensions.has(extension);
    return this.#knowsPass || this.#newQueues.password !== null;
  }

  /** extensions.md rekey1; `false`: it was refused, and the connection ends. */
  async #rekey({ corrId }: ClientTransmission, request: Uint8Array): Promise<boolean> {
    const isLate = performance.now() - this.#began > this.#limits().handshakeTimeout;
    const answer = this.#hasCommands || isLate ? "late" : await answerRekey(request, this.#blocks.binding);
    if (answer === "late" || answer === null) {
      const error = answer === null ? "CMD SYNTAX" : "CMD PROHIBITED";
      this.#refuse({ corrId, queueId: "", error }, "REKEY");
      return false;
    }
    this.#metrics.answered("REKEY", "REKEY");
    // Nothing else is written meanwhile: no command was given before.
    this.answer({ corrId, queueId: "", response: { type: "REKEY", payload: answer.payload } });
    await this.#answered(1);
    await this.#blocks.rekey(answer.keys);
    return !this.#closed;
  }

  async #read(): Promise<Uint8Array<ArrayBuffer> | "bad block" | null> {
    try {
      return await this.#blocks.readLent();
    } catch (error) {
      // transport.md Blocks and Channels: a block that does not authenticate, a message of another length
      if (error instanceof TransportError && (error.code === "AES_DECRYPT" || error.code === "BLOCK")) {
        return "bad block";
      }
      throw error;
    }
  }

  /** What the peer sends meanwhile stays in its socket. */
  async #paidFor(reason: Refusal, budget: WorkBudget): Promise<void> {
    const delay = budget.delay(this);
    if (delay === 0 || this.#closed) return;
    this.#metrics.refuse(reason);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, delay);
    this.#endPause = resolve;
    await promise;
    clearTimeout(timer);
  }

  async #answered(limit: number): Promise<void> {
    while (this.#inWork >= limit && !this.#closed) {
      this.#readerIdle ??= Promise.withResolvers();
      await this.#readerIdle.promise;
    }
  }

  async #writeLoop(): Promise<void> {
    const batchSize = batchBytes / this.blockSize;
    try {
      for (;;) {
        if (this.#outbox.length === 0 && !this.#closed) {
          this.#writerIdle = Promise.withResolvers();
          await this.#writerIdle.promise;
        }
        if (this.#closed) return;
        // What the other commands of this turn are answered goes out in the same write.
        await nextTurn();
        const outgoing = this.#outbox;
        this.#outbox = [];
        for (let at = 0; at < outgoing.length; at += batchSize) {
          await this.#write(outgoing.slice(at, at + batchSize));
        }
      }
    } catch {
      await this.close();
    }
  }

  async #write(batch: readonly Outgoing[]): Promise<void> {
    const size = batch.length * this.blockSize;
    this.writingSince = performance.now();
    this.#hold(size);
    try {
      await this.#blocks.write(batch.map(({ transmission }) => serverTransmissionParts(transmission)));
    } finally {
      this.#hold(-size);
    }
    this.writingSince = Infinity;
    this.#metrics.bytesSent += size;
    const now = performance.now();
    for (const { isAnswer, since, written } of batch) {
      if (isAnswer) this.#inWork--;
      else this.#pushes.remove();
      written?.();
      if (since !== undefined) this.#metrics.delivery.observe((now - since) / 1000);
    }
    this.#wakeReader();
    this.#broker.resume(this);
  }

  /** The peer still gets all that was written, even if it goes on sending. */
  async #end(): Promise<void> {
    const timer = setTimeout(() => this.close(), lingerTime);
    try {
      await this.#blocks.end();
      await this.#blocks.drain();
    } finally {
      clearTimeout(timer);
    }
  }

  #enqueue(outgoing: Outgoing): void {
    if (this.#closed) return;
    if (!outgoing.isAnswer) this.#pushes.add(outgoing.transmission);
    this.#outbox.push(outgoing);
    this.#wakeWriter();
  }

  #wakeWriter(): void {
    this.#writerIdle?.resolve();
    this.#writerIdle = null;
  }

  #wakeReader(): void {
    this.#readerIdle?.resolve();
    this.#readerIdle = null;
  }
}

const badBlock: ServerTransmission = {
  corrId: new Uint8Array(0),
  queueId: "",
  response: { type: "ERR", error: "BLOCK" },
};
