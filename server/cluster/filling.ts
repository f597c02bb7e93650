import type { PartitionLog } from "./partition_log.ts";
import type { LogRecord } from "./records.ts";

/** Bytes of records that are stored at once, about; a batch holds twice as many. */
const enough = 1 << 18;
/** What a record takes at most beside keys and body. */
const perRecord = 512;

interface Waiting {
  records: LogRecord[];
  bytes: number;
}

/** Appends many records to the logs of all partitions, in large batches. */
export class Filling {
  readonly #logs: readonly PartitionLog[];
  readonly #waiting: readonly Waiting[];

  constructor(logs: readonly PartitionLog[]) {
    this.#logs = logs;
    this.#waiting = logs.map(() => ({ records: [], bytes: 0 }));
  }

  /** Resolves when so little waits that more can come. */
  async add(partition: number, record: LogRecord): Promise<void> {
    const waiting = this.#waiting[partition]!;
    waiting.records.push(record);
    waiting.bytes += lengthOf(record);
    if (waiting.bytes >= enough) await this.#append(partition);
  }

  /** Resolves when all is stored. */
  async end(): Promise<void> {
    await Promise.all(this.#logs.map((_, partition) => this.#append(partition)));
  }

  async #append(partition: number): Promise<void> {
    const waiting = this.#waiting[partition]!;
    const { records } = waiting;
    waiting.records = [];
    waiting.bytes = 0;
    if (records.length > 0) await this.#logs[partition]!.append(records);
  }
}

function lengthOf(record: LogRecord): number {
  switch (record.type) {
    case "CREATE": {
      const { recipientKey, senderKey } = record.queue;
      return perRecord + recipientKey.der.length + (senderKey?.der.length ?? 0);
    }
    case "MESSAGE":
      return perRecord + record.body.length;
    default:
      return perRecord;
  }
}
