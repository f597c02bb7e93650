import { ReplayGuard } from "../guard/replay_guard.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../store/memory.ts";
import type { QueueRecord, StoredMessage } from "../store/store.ts";
import { type RecentCommand, RecentCommands } from "./recent_commands.ts";
import type { DoneCommand, LogRecord, QueueChange, SnapshotPlace } from "./records.ts";

/** What the last SNAPSHOT record says. */
export interface SnapshotPlaces {
  readonly last: SnapshotPlace;
  readonly previous: SnapshotPlace | null;
}

/** What a partition holds: a fold over its log, the same for everybody who folds the same records. */
export class PartitionState {
  readonly queues: MemoryQueueStore = new MemoryQueueStore();
  readonly messages: MemoryMessageStore = new MemoryMessageStore();
  /** Block sizes of recipients' connections by recipient ID, of those that told one. */
  readonly blockSizes: Map<string, number> = new Map();
  readonly commands: RecentCommands = new RecentCommands();
  readonly handshakes: ReplayGuard = new ReplayGuard();
  #snapshot: SnapshotPlaces | null = null;
  #snapshotAt: number | null = null;

  get snapshot(): SnapshotPlaces | null {
    return this.#snapshot;
  }

  /** When the last snapshot was taken, milliseconds since 1970; `null`: there is none. */
  get snapshotAt(): number | null {
    return this.#snapshotAt;
  }

  /** Does what a record says at once; how many things it changed. `at`: when it was written (milliseconds since 1970). */
  apply(record: LogRecord, at: number): number {
    switch (record.type) {
      case "CLAIM":
        return 1;
      case "SNAPSHOT":
        this.#snapshot = { last: record.last, previous: record.previous };
        this.#snapshotAt = at;
        return 1;
      case "HANDSHAKE":
        return this.handshakes.remember(record.digest) ? 1 : 0;
      case "COMMAND":
        this.commands.remember(record.commandId, record.done, record.at);
        return 1;
      default: {
        const changed = this.#change(record);
        const { commandId, blockSize } = record.origin ?? {};
        // A queue whose IDs were taken was not made: the next attempt has the same command.
        const isDone = record.type !== "CREATE" || changed > 0;
        if (commandId !== undefined && isDone) this.commands.remember(commandId, doneBy(record), at);
        if (blockSize !== undefined && isDone) this.#touch(record, blockSize);
        return changed;
      }
    }
  }

  /** What a new fold makes this state of, as it is now: nothing that is applied later is among it. */
  records(): Iterable<LogRecord> {
    return recordsOf({
      queues: [...this.queues.records()],
      messages: [...this.messages.messages()],
      blockSizes: new Map(this.blockSizes),
      commands: [...this.commands.entries()],
      digests: [...this.handshakes.digests()],
    });
  }

  #change(change: QueueChange): number {
    const { queues, messages } = this;
    switch (change.type) {
      case "CREATE":
        return queues.add(change.queue) ? 1 : 0;
      case "SECURE":
        if (queues.get(change.recipientId) === undefined) return 0;
        void queues.secure(change.recipientId, change.senderKey);
        return 1;
      case "SUSPEND":
        if (queues.get(change.recipientId) === undefined) return 0;
        void queues.suspend(change.recipientId, change.at);
        return 1;
      case "DELETE": {
        const { recipientId } = change;
        this.blockSizes.delete(recipientId);
        void messages.deleteQueue(recipientId);
        if (queues.get(recipientId) === undefined) return 0;
        void queues.delete(recipientId);
        return 1;
      }
      case "MESSAGE": {
        const { recipientId, id, at, body } = change;
        if (messages.has(recipientId, id)) return 0;
        void messages.append(recipientId, { id, timestamp: new Date(at), body });
        return 1;
      }
      case "ACKNOWLEDGE":
      case "EXPIRE":
        return messages.removeAll(change.messageIds.map((id) => [change.recipientId, id] as const));
      case "CLEAR": {
        const before = messages.size;
        void messages.deleteQueue(change.recipientId);
        return before - messages.size;
      }
      case "TOUCH":
        return 0;
      default:
        return change satisfies never;
    }
  }

  #touch(change: QueueChange, blockSize: number): void {
    const recipientId = change.type === "CREATE" ? change.queue.recipientId : change.recipientId;
    if (this.queues.get(recipientId) !== undefined) this.blockSizes.set(recipientId, blockSize);
  }
}

type ChangeType = Exclude<QueueChange["type"], "CREATE">;

function doneBy(change: QueueChange): DoneCommand {
  if (change.type !== "CREATE") return done[change.type];
  const { recipientId, senderId } = change.queue;
  return { type: "CREATE", recipientId, senderId };
}

/** One object for all commands of a type: there are many. */
const done: Readonly<Record<ChangeType, DoneCommand>> = {
  SECURE: { type: "SECURE" },
  SUSPEND: { type: "SUSPEND" },
  DELETE: { type: "DELETE" },
  MESSAGE: { type: "MESSAGE" },
  ACKNOWLEDGE: { type: "ACKNOWLEDGE" },
  EXPIRE: { type: "EXPIRE" },
  CLEAR: { type: "CLEAR" },
  TOUCH: { type: "TOUCH" },
};

interface Copy {
  readonly queues: readonly QueueRecord[];
  readonly messages: readonly (readonly [recipientId: string, message: StoredMessage])[];
  readonly blockSizes: ReadonlyMap<string, number>;
  readonly commands: readonly RecentCommand[];
  readonly digests: readonly number[];
}

function* recordsOf({ queues, messages, blockSizes, commands, digests }: Copy): Generator<LogRecord> {
  for (const queue of queues) {
    const blockSize = blockSizes.get(queue.recipientId);
    yield { type: "CREATE", queue, ...(blockSize !== undefined && { origin: { blockSize } }) };
  }
  for (const [recipientId, { id, timestamp, body }] of messages) {
    yield { type: "MESSAGE", recipientId, id, at: timestamp.getTime(), body };
  }
  for (const digest of digests) yield { type: "HANDSHAKE", digest };
  for (const command of commands) yield { type: "COMMAND", ...command };
}
