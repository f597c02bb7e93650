/** The reasons for which a limit refuses something, lets it wait (`refused_time`, `extra_time`), or closes a connection (`idle`, `stalled`, `memory_held`). */
export const refusals = [
  "connections",
  "connections_per_ip",
  "handshakes",
  "handshakes_per_ip",
  "handshake_rate",
  "new_queues_off",
  "new_queue_rate",
  "new_queue_access",
  "password",
  "password_rate",
  "memory",
  "memory_share",
  "memory_held",
  "quota",
  "refused_time",
  "extra_time",
  "idle",
  "stalled",
  "opened",
  "replay",
] as const;

/** One of {@linkcode refusals}. */
export type Refusal = typeof refusals[number];

/** Upper bounds of the buckets of all histograms, in seconds. */
export const latencyBuckets = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
] as const;

/** How often something took how long. */
export class Histogram {
  /** For each of {@linkcode latencyBuckets} how many took at most so long and longer than the one before; then the rest. */
  readonly counts: number[] = new Array(latencyBuckets.length + 1).fill(0);
  /** Seconds in all. */
  sum = 0;
  /** How many there were. */
  count = 0;

  /**
   * Seconds within which `share` (0 to 1) of them were, as a bucket's upper bound: `Infinity` above the last one,
   * `null` when there were none.
   */
  static quantile(counts: readonly number[], share: number): number | null {
    const wanted = share * counts.reduce((sum, count) => sum + count, 0);
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      if (count > 0 && below >= wanted) return latencyBuckets[i] ?? Infinity;
    }
    return null;
  }

  /** Counts something that took `seconds`. */
  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < latencyBuckets.length && seconds > latencyBuckets[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += seconds;
    this.count++;
  }
}

/** What a server has counted since it started. No entry names a peer, a queue or a key. */
export class Metrics {
  /** Connections that were accepted. */
  connectionsAccepted = 0;
  /** Refusals because of limits. */
  readonly refused: Map<Refusal, number> = new Map<Refusal, number>();
  /** Handshakes that succeeded. */
  handshakesDone = 0;
  /** Connections that ended in the handshake. */
  handshakesFailed = 0;
  /** Connections that were closed because the peer did not read in time. */
  slowPeersClosed = 0;
  /** Commands by `<command> <answer>`, for instance `SEND OK` or `SUB ERR AUTH`; the command of what cannot be parsed is `?`. */
  readonly commands: Map<string, number> = new Map<string, number>();
  /** Bytes of blocks that were received. */
  bytesReceived = 0;
  /** Bytes of blocks that were sent. */
  bytesSent = 0;
  /** Messages that were accepted. */
  messagesAccepted = 0;
  /** Messages that were given to a recipient's connection, again after a reconnect included. */
  messagesDelivered = 0;
  /** Messages that were dropped because they do not fit the recipient's blocks. */
  messagesDropped = 0;
  /** Messages that were dropped because nobody has read them in their lifetime. */
  messagesExpired = 0;
  /** Queues that were removed because they were suspended or never secured for too long. */
  queuesExpired = 0;
  /** Commands that failed because of the server itself, and errors that nothing has caught. */
  internalErrors = 0;
  /** Writes or syncs of a log file that failed. */
  logFailures = 0;
  /** Time from accepting a message to giving it to the recipient's connection, for messages that did not have to wait for an `ACK` or `SUB`. */
  readonly delivery: Histogram = new Histogram();
  /** Time of writing (and syncing, when every write is synced) one batch of log lines. */
  readonly logFlush: Histogram = new Histogram();

  /** Counts a refusal. */
  refuse(reason: Refusal): void {
    increment(this.refused, reason);
  }

  /** Counts a command and its answer. */
  answered(command: string, answer: string): void {
    increment(this.commands, `${command} ${answer}`);
  }

  /** How often `reason` was the reason of a refusal. */
  refusals(reason: Refusal): number {
    return this.refused.get(reason) ?? 0;
  }
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** What a server is at the moment. */
export interface Gauges {
  /** Connections, those in the handshake included. */
  readonly connections: number;
  /** Connections in the handshake. */
  readonly handshakes: number;
  /** Queues with a subscribed connection. */
  readonly subscriptions: number;
  /** Those of them that may have several messages unacknowledged. */
  readonly windows: number;
  /** Messages that are delivered and not acknowledged. */
  readonly delivered: number;
  /** Queue IDs on which a connection gives commands without signatures. */
  readonly opened: number;
  /** Queues, suspended ones included. */
  readonly queues: number;
  /** Messages that wait or are not acknowledged. */
  readonly messages: number;
  /** Bytes of those messages' bodies. */
  readonly messageBytes: number;
  /** Signatures that are being verified or wait for it. */
  readonly cryptoInWork: number;
  /** Resident memory of the process in bytes. */
  readonly memory: number;
  /** Bytes that the server counts for connections, queues and messages; what `limits.memory` is compared with. */
  readonly memoryHeld: number;
}
