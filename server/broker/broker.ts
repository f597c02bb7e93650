import {
  type ClientCommand,
  type ClientTransmission,
  defaultBlockSize,
  encodeBase64,
  isKeySize,
  type PublicKey,
} from "../../protocol/mod.ts";
import type { Authorizer } from "../guard/authorization.ts";
import { Access } from "./access.ts";
import { Clock } from "./clock.ts";
import { Delivery, type DeliveryCounts } from "./delivery.ts";
import { removeExpired } from "./expiry.ts";
import { exponentClass } from "../guard/verifier.ts";
import { CommandRunner, failure, type Reply, type SmpErrorCode, type Submitted } from "./command_runner.ts";
import { OpenedQueues } from "./opened_queues.ts";
import type { PartitionOwner } from "./owner.ts";
import type { Place, Side } from "./paired_serial.ts";
import { isOf, onePartition, type Partitions, randomIds } from "./partition.ts";
import { RecipientCommands } from "./recipient_commands.ts";
import { send, type SendParts } from "./send.ts";
import { defaultLimits, type LimitSource } from "../config/limits.ts";
import type { Metrics, Refusal } from "../observe/metrics.ts";
import type {
  DoneCommand,
  MessageStore,
  Origin,
  PartitionMemory,
  PartitionStores,
  QueueRecord,
  QueueStore,
} from "../store/store.ts";
import type { BrokerConnection } from "./subscriptions.ts";
import { type Forwarded, RestoredConnections, type Restoring } from "./restoring.ts";
import { UnsecuredReserve } from "../guard/unsecured_reserve.ts";
import { WaitingShares } from "../guard/waiting_shares.ts";

export interface BrokerParts extends PartitionStores {
  readonly metrics: Metrics;
  readonly limits?: LimitSource;
  readonly mayCreate?: (client: string | null) => boolean;
  readonly isMemoryShort?: () => boolean;
  readonly authorizer: Authorizer;
  readonly clock?: Clock;
  /** Of the ranks of subscriptions; higher than that of every broker of the same queues before. @default the time in ms */
  readonly epoch?: number;
  readonly log?: (message: string, error: unknown) => void;
  readonly partitions?: Partitions;
  readonly opened?: OpenedQueues;
  readonly reserve?: UnsecuredReserve;
  readonly shares?: WaitingShares;
}

const queueIdLength = 12;
const idAttempts = 8;

/**
 * What the commands do (smp.md): in order on one queue, while different queues do not wait for each other.
 */
export class Broker implements PartitionOwner {
  readonly restoring: Restoring;
  readonly #queues: QueueStore;
  readonly #messages: MessageStore;
  readonly #metrics: Metrics;
  readonly #limits: LimitSource;
  readonly #mayCreate: (client: string | null) => boolean;
  readonly #isMemoryShort: () => boolean;
  readonly #authorizer: Authorizer;
  readonly #clock: Clock;
  readonly #log: (message: string, error: unknown) => void;
  readonly #delivery: Delivery;
  readonly #runner: CommandRunner;
  readonly #recipients: RecipientCommands;
  readonly #partitions: Partitions;
  readonly #opened: OpenedQueues;
  readonly #access: Access;
  readonly #sending: SendParts;
  readonly #memory: PartitionMemory | undefined;
  #sweeping: Promise<void> | null = null;

  constructor(parts: BrokerParts) {
    this.#queues = parts.queues;
    this.#messages = parts.messages;
    this.#metrics = parts.metrics;
    this.#limits = parts.limits ?? (() => defaultLimits);
    this.#mayCreate = parts.mayCreate ?? (() => true);
    this.#isMemoryShort = parts.isMemoryShort ?? (() => false);
    this.#partitions = parts.partitions ?? onePartition;
    this.#opened = parts.opened ?? new OpenedQueues();
    const reserve = parts.reserve ?? new UnsecuredReserve();
    const shares = parts.shares ?? new WaitingShares(() => Infinity);
    this.#authorizer = parts.authorizer;
    this.#access = new Access(parts.authorizer, this.#opened);
    this.#clock = parts.clock ?? Clock.ofMachine();
    this.#log = parts.log ?? (() => {});
    this.#memory = parts.memory;
    this.#runner = new CommandRunner(this.#metrics, this.#log, parts.isOrdered);
    this.#delivery = new Delivery({
      messages: this.#messages,
      metrics: this.#metrics,
      runner: this.#runner,
      epoch: parts.epoch ?? Date.now(),
      memory: parts.memory,
    });
    this.#sending = {
      messages: this.#messages,
      delivery: this.#delivery,
      access: this.#access,
      room: { limits: this.#limits, reserve, shares },
      clock: this.#clock,
      metrics: this.#metrics,
    };
    this.#recipients = new RecipientCommands({
      queues: this.#queues,
      messages: this.#messages,
      delivery: this.#delivery,
      opened: this.#opened,
      runner: this.#runner,
      reserve,
      shares,
      clock: this.#clock,
    });
    this.restoring = new RestoredConnections({
      queues: this.#queues,
      messages: this.#messages,
      delivery: this.#delivery,
      opened: this.#opened,
      runner: this.#runner,
    });
  }

  get counts(): DeliveryCounts {
    return this.#delivery.counts;
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#delivery.isSubscribed(connection);
  }

  async idle(): Promise<void> {
    await Promise.all([this.#runner.idle(), this.#sweeping]);
  }

  async submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void> {
    const { command, corrId, queueId } = transmission;
    const done = forwarded?.isRepeated === true ? this.#memory?.done(idOf(forwarded)) : undefined;
    if (done !== undefined) return this.#answerDone({ connection, transmission }, done);
    switch (command.type) {
      case "PING":
        this.#metrics.answered("PING", "PONG");
        return connection.answer({ corrId, queueId: "", response: { type: "PONG" } });
      case "NEW":
        this.#runner.run(
          { connection, transmission },
          (reply) => this.#create({ connection, transmission, forwarded }, command, reply),
        );
        return;
      case "SEND":
        return await this.#submitMessage({ connection, transmission, forwarded }, command.body);
      case "OPEN":
        return await this.#submitOpen(connection, transmission, command.binding);
      case "PASS":
      case "REKEY":
        throw new TypeError(`Cannot execute ${command.type}: it is of the session`);
      default:
        this.#inOrder(queueId, { connection, transmission }, async (queue, reply, place) => {
          const error = await this.#access.recipientError(queue, { connection, transmission });
          if (error !== null) {
            await place.alone();
            return reply(failure(error));
          }
          const origin = this.#originOf(forwarded);
          await this.#recipients.execute(command, { queue, connection, reply, place, forwarded, origin });
        });
    }
  }

  isOpened(connection: BrokerConnection, queueId: string): boolean {
    return this.#opened.has(connection, queueId);
  }

  /** How many queue IDs a connection has open, those that it is about to open included. */
  opened(connection: BrokerConnection): number {
    return this.#opened.count(connection);
  }

  resume(connection: BrokerConnection): void {
    this.#delivery.resume(connection);
  }

  disconnect(connection: BrokerConnection): void {
    this.#delivery.disconnect(connection);
    this.#opened.disconnect(connection);
  }

  async #submitMessage(submitted: Submitted, body: Uint8Array): Promise<void> {
    const { queueId } = submitted.transmission;
    const since = performance.now();
    if (this.#isMemoryShort()) {
      // Before the queue is looked up: the refusal says nothing about it.
      this.#runner.run(
        submitted,
        (reply) => Promise.resolve(this.#refuse("memory", "INTERNAL", reply)),
      );
      return;
    }
    try {
      const recipientId = await this.#recipientIdOf(queueId);
      this.#inOrder(recipientId ?? queueId, submitted, async (found, reply, place) => {
        // A recipient ID given as a sender ID leads to a queue too.
        const queue = recipientId === undefined ? this.#authorizer.unknownQueue(queueId) : found;
        const origin = this.#originOf(submitted.forwarded);
        await send(this.#sending, { queue, submitted }, { body, since, origin, reply, place });
      });
    } catch (error) {
      this.#runner.run(submitted, () => Promise.reject(error));
    }
  }

  async #submitOpen(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    binding: string,
  ): Promise<void> {
    const { queueId } = transmission;
    const submitted = { connection, transmission };
    const end = this.#opened.begin(connection);
    try {
      const recipientId = await this.#recipientIdOf(queueId);
      this.#inOrder(recipientId ?? queueId, submitted, async (queue, reply) => {
        const key = await this.#access.openingKey(queue, submitted, {
          binding,
          isSender: recipientId !== undefined,
        });
        if (key === null) return reply(failure("AUTH"));
        if (this.#isMemoryShort()) return this.#refuse("memory", "QUOTA", reply);
        // An alias: another process may be between, which knows nothing of what is open here.
        if (!isOf(queueId, this.#partitions)) return reply(failure("QUOTA"));
        const most = this.#limits().openedPerConnection;
        const isOpened = this.#opened.add(connection, queueId, { key, most });
        return isOpened ? reply({ type: "OK" }) : this.#refuse("opened", "QUOTA", reply);
      }, end);
    } catch (error) {
      end();
      this.#runner.run(submitted, () => Promise.reject(error));
    }
  }

  /** The recipient ID of the queue with a sender ID, also while it is being deleted. */
  async #recipientIdOf(senderId: string): Promise<string | undefined> {
    const found = await this.#queues.bySenderId(senderId);
    const recipientId = found?.recipientId ?? this.#runner.order.recipientIdOf(senderId);
    if (recipientId !== undefined) this.#runner.order.link(recipientId, senderId);
    return recipientId;
  }

  /** smp.md Authorization: the same time for a queue that does not exist as for one whose keys do not fit. */
  #inOrder(
    recipientId: string,
    submitted: Submitted,
    work: (queue: QueueRecord, reply: Reply, place: Place) => Promise<void>,
    done: () => void = noop,
  ): void {
    this.#runner.runInOrder(recipientId, submitted, async (reply, place) => {
      try {
        const found = await this.#queues.byRecipientId(recipientId);
        await work(found ?? this.#authorizer.unknownQueue(submitted.transmission.queueId), reply, place);
      } finally {
        done();
      }
    }, sideOf(submitted.transmission.command));
  }

  /** smp.md Limits. Never rejects. */
  sweep(): Promise<void> {
    return this.#sweeping ??= this.#sweep().finally(() => this.#sweeping = null);
  }

  async #sweep(): Promise<void> {
    try {
      await removeExpired({
        queues: this.#queues,
        messages: this.#messages,
        limits: this.#limits(),
        metrics: this.#metrics,
        order: this.#runner.order,
        isSubscribed: (recipientId) => this.#delivery.subscription(recipientId) !== undefined,
        remove: (queue) => this.#recipients.remove(queue),
      }, this.#clock.age());
    } catch (error) {
      this.#log("Cannot remove what is too old: the server failed", error);
    }
  }

  /** It was executed by the broker before this one, or before its link was lost. */
  #answerDone(submitted: Submitted, { created }: DoneCommand): void {
    const { connection, transmission: { queueId } } = submitted;
    this.#runner.runInOrder(created?.recipientId ?? queueId, submitted, async (reply) => {
      if (created === null) return reply({ type: "OK" });
      const { recipientId, senderId } = created;
      // Nobody else knows its ID.
      if (await this.#queues.byRecipientId(recipientId) !== undefined) {
        this.#delivery.subscribe(recipientId, connection);
      }
      reply({ type: "IDS", recipientId, senderId }, "");
    });
  }

  #originOf(forwarded: Forwarded | undefined): Origin | undefined {
    if (this.#memory === undefined || forwarded === undefined) return undefined;
    return { commandId: idOf(forwarded) };
  }

  async #create(
    { connection, transmission, forwarded }: Submitted,
    { recipientKey }: { readonly recipientKey: PublicKey },
    reply: Reply,
  ): Promise<void> {
    // Before the signature is verified: a refusal should cost nothing.
    if (this.#limits().newQueues === 0) return this.#refuse("new_queues_off", "AUTH", reply);
    if (this.#isMemoryShort()) return this.#refuse("memory", "INTERNAL", reply);
    if (!this.#mayCreate(connection.client)) return reply(failure("INTERNAL"));
    const effort = { costs: exponentClass(recipientKey), source: connection };
    if (!await this.#authorizer.verify(recipientKey, transmission, effort)) return reply(failure("AUTH"));
    if (!isKeySize(recipientKey.bits)) return reply(failure("CMD KEY_SIZE"));
    for (let attempt = 0; attempt < idAttempts; attempt++) {
      const [recipientId, senderId] = randomIds(queueIdLength, this.#partitions);
      const changedAt = this.#clock.stamp();
      const record = { recipientId, senderId, recipientKey, senderKey: null, suspended: false, changedAt };
      const { blockSize } = connection;
      const origin = this.#originOf(forwarded);
      const isUsual = origin === undefined || blockSize === defaultBlockSize;
      if (!await this.#queues.create(record, isUsual ? origin : { ...origin, blockSize })) continue;
      this.#delivery.rememberBlockSize(recipientId, connection);
      this.#delivery.subscribe(recipientId, connection);
      return reply({ type: "IDS", recipientId, senderId }, "");
    }
    throw new Error(`Cannot create a queue: ${idAttempts} random IDs were taken`);
  }

  #refuse(reason: Refusal, error: SmpErrorCode, reply: Reply): void {
    this.#metrics.refuse(reason);
    reply(failure(error));
  }
}

function noop(): void {}

/** Whose commands may be stored beside those of the other side. */
function sideOf({ type }: ClientCommand): Side | undefined {
  if (type === "SEND") return "sender";
  return type === "ACK" || type === "ACKM" ? "recipient" : undefined;
}

function idOf({ commandId }: Forwarded): string {
  return encodeBase64(commandId);
}
