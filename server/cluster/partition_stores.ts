import { defaultBlockSize, type PublicKey } from "../../protocol/mod.ts";
import type {
  MessageStore,
  Origin,
  PartitionMemory,
  PartitionStores,
  QueueRecord,
  QueueStore,
  StoredMessage,
} from "../store/store.ts";
import type { PartitionState } from "./partition_state.ts";
import type { LogRecord, QueueChange } from "./records.ts";

/** Where the stores of a partition append what changes it; resolves when that is stored and done in `state`. */
export interface StoresLog {
  readonly state: PartitionState;
  append(records: readonly LogRecord[]): Promise<number[]>;
}

/** The stores of a partition over its log: what they tell is what is stored. */
export interface LoggedStores extends PartitionStores {
  readonly queues: LoggedQueueStore;
  readonly messages: LoggedMessageStore;
  /** Keeps the number of a handshake; `false` when there was one with this number. */
  addHandshake(digest: number): Promise<boolean>;
  readonly memory: PartitionMemory;
}

/** Makes the stores of a partition. */
export function storesOver(log: StoresLog): LoggedStores {
  return {
    queues: new LoggedQueueStore(log),
    messages: new LoggedMessageStore(log),
    isOrdered: true,
    async addHandshake(digest) {
      return await append(log, { type: "HANDSHAKE", digest }) > 0;
    },
    memory: {
      done(commandId) {
        const found = log.state.commands.get(commandId);
        return found && { created: found.type === "CREATE" ? found : null };
      },
      blockSize: (recipientId) => log.state.blockSizes.get(recipientId),
      async rememberBlockSize(recipientId, blockSize) {
        const { queues, blockSizes } = log.state;
        const known = blockSizes.get(recipientId) ?? defaultBlockSize;
        if (queues.get(recipientId) === undefined || known === blockSize) return;
        await append(log, { type: "TOUCH", recipientId, origin: { blockSize } });
      },
    },
  };
}

/** The queues of a partition. What changes them takes the command that does so, too. */
export class LoggedQueueStore implements QueueStore {
  readonly #log: StoresLog;

  constructor(log: StoresLog) {
    this.#log = log;
  }

  get size(): number {
    return this.#log.state.queues.size;
  }

  records(): Iterable<QueueRecord> {
    return this.#log.state.queues.records();
  }

  byRecipientId(recipientId: string): Promise<QueueRecord | undefined> {
    return this.#log.state.queues.byRecipientId(recipientId);
  }

  bySenderId(senderId: string): Promise<QueueRecord | undefined> {
    return this.#log.state.queues.bySenderId(senderId);
  }

  async create(record: QueueRecord, origin?: Origin): Promise<boolean> {
    const { recipientId, senderId, changedAt } = record;
    const { queues } = this.#log.state;
    if (recipientId === senderId || queues.has(recipientId) || queues.has(senderId)) return false;
    // Of several with the same ID the first one in the log has it.
    const queue = { ...record, changedAt: Math.floor(changedAt) };
    return await this.#change({ type: "CREATE", queue }, origin) > 0;
  }

  async secure(recipientId: string, senderKey: PublicKey, origin?: Origin): Promise<void> {
    if (this.#has(recipientId)) await this.#change({ type: "SECURE", recipientId, senderKey }, origin);
  }

  async suspend(recipientId: string, at: number, origin?: Origin): Promise<void> {
    if (!this.#has(recipientId)) return;
    await this.#change({ type: "SUSPEND", recipientId, at: Math.floor(at) }, origin);
  }

  async delete(recipientId: string, origin?: Origin): Promise<void> {
    if (this.#has(recipientId)) await this.#change({ type: "DELETE", recipientId }, origin);
  }

  #has(recipientId: string): boolean {
    return this.#log.state.queues.get(recipientId) !== undefined;
  }

  #change(change: QueueChange, origin: Origin | undefined): Promise<number> {
    return append(this.#log, originated(change, origin));
  }
}

/** The messages of a partition. What changes them takes the command that does so, too. */
export class LoggedMessageStore implements MessageStore {
  readonly #log: StoresLog;

  constructor(log: StoresLog) {
    this.#log = log;
  }

  get size(): number {
    return this.#log.state.messages.size;
  }

  get bytes(): number {
    return this.#log.state.messages.bytes;
  }

  async append(recipientId: string, { id, timestamp, body }: StoredMessage, origin?: Origin): Promise<void> {
    const at = Math.floor(timestamp.valueOf());
    await append(this.#log, originated({ type: "MESSAGE", recipientId, id, at, body }, origin));
  }

  first(recipientId: string): Promise<StoredMessage | undefined> {
    return this.#log.state.messages.first(recipientId);
  }

  next(recipientId: string, messageId: string): Promise<StoredMessage | undefined> {
    return this.#log.state.messages.next(recipientId, messageId);
  }

  count(recipientId: string): Promise<number> {
    return this.#log.state.messages.count(recipientId);
  }

  async remove(recipientId: string, messageId: string, origin?: Origin): Promise<void> {
    if (!this.#log.state.messages.has(recipientId, messageId)) return;
    const messageIds = [messageId];
    await append(this.#log, originated({ type: "ACKNOWLEDGE", recipientId, messageIds }, origin));
  }

  async deleteQueue(recipientId: string): Promise<void> {
    if (await this.count(recipientId) > 0) await append(this.#log, { type: "CLEAR", recipientId });
  }

  async expire(time: number): Promise<number> {
    let expired = 0;
    for await (const messages of this.#log.state.messages.expired(time)) {
      const changes = await this.#log.append(expiries(messages));
      expired += changes.reduce((sum, count) => sum + count, 0);
    }
    return expired;
  }
}

/** A record for each queue; those of one are behind each other. */
function expiries(messages: readonly (readonly [recipientId: string, messageId: string])[]): LogRecord[] {
  const byQueue = new Map<string, string[]>();
  for (const [recipientId, messageId] of messages) {
    const found = byQueue.get(recipientId);
    if (found === undefined) byQueue.set(recipientId, [messageId]);
    else found.push(messageId);
  }
  return [...byQueue].map(([recipientId, messageIds]) => ({ type: "EXPIRE", recipientId, messageIds }));
}

function originated(change: QueueChange, origin: Origin | undefined): LogRecord {
  return origin === undefined ? change : { ...change, origin };
}

async function append(log: StoresLog, record: LogRecord): Promise<number> {
  const [changed] = await log.append([record]);
  return changed!;
}
