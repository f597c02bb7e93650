import { encodePublicKeyText } from "../../protocol/mod.ts";
import type { LogStream, PublishOutcome } from "../../server/cluster/log_stream.ts";
import type { PartitionState } from "../../server/cluster/partition_state.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";

/** What a partition holds, to be compared. */
export function contentOf({ queues, messages, blockSizes, commands, handshakes }: PartitionState) {
  return {
    queues: [...queues.records()].map(({ recipientKey, senderKey, ...rest }) => ({
      ...rest,
      recipientKey: encodePublicKeyText(recipientKey),
      senderKey: senderKey && encodePublicKeyText(senderKey),
    })).sort((a, b) => a.recipientId < b.recipientId ? -1 : 1),
    messages: [...messages.messages()].map(([recipientId, { id }]) => `${recipientId} ${id}`).sort(byQueue),
    bytes: messages.bytes,
    blockSizes: [...blockSizes].sort(),
    commands: [...commands.entries()].map(({ commandId, done }) => ({ commandId, done })),
    handshakes: [...handshakes.digests()].sort(),
  };
}

/** Queues in any order, the messages of one as they are. */
function byQueue(a: string, b: string): number {
  const [one, two] = [a, b].map((text) => text.split(" ")[0]!);
  return one! < two! ? -1 : one! > two! ? 1 : 0;
}

/** What becomes of a publish. */
export type PublishFault = (publish: () => Promise<PublishOutcome>) => Promise<PublishOutcome>;

/** A stream whose next publishes and reads fail. */
export class FaultyStream implements LogStream {
  readonly #stream: LogStream;
  /** How many publishes fail. */
  times: number;
  fault: PublishFault;
  /** How many reads reject. */
  failingReads = 0;
  /** How many reads find nothing. */
  lateReads = 0;

  constructor(stream: LogStream, { times, fault }: { readonly times: number; readonly fault: PublishFault }) {
    this.#stream = stream;
    this.times = times;
    this.fault = fault;
  }

  publish(...args: Parameters<LogStream["publish"]>): Promise<PublishOutcome> {
    const publish = () => this.#stream.publish(...args);
    if (this.times <= 0) return publish();
    this.times--;
    return this.fault(publish);
  }

  get(sequence: number): ReturnType<LogStream["get"]> {
    if (this.lateReads > 0) {
      this.lateReads--;
      return Promise.resolve(null);
    }
    return this.#read(() => this.#stream.get(sequence));
  }

  last(...args: Parameters<LogStream["last"]>): ReturnType<LogStream["last"]> {
    return this.#read(() => this.#stream.last(...args));
  }

  state(): ReturnType<LogStream["state"]> {
    return this.#read(() => this.#stream.state());
  }

  purge(first: number): Promise<void> {
    return this.#read(() => this.#stream.purge(first));
  }

  stepDown(): Promise<boolean> {
    return this.#stream.stepDown();
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    if (this.failingReads <= 0) return read();
    this.failingReads--;
    return Promise.reject(new Error("no answer"));
  }
}

/**
 * The same stream and snapshots for one owner that stops: the operation with the number `at` is done, and neither its
 * answer nor any later operation comes before `resume`.
 */
export function stoppable(stream: LogStream, snapshots: SnapshotStore, at: number) {
  const [stopped, resumed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let count = 0;
  const around = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return async (...args: unknown[]) => {
          const number = ++count;
          if (number > at) await resumed.promise;
          const result: unknown = await Reflect.apply(member, target, args);
          if (number === at) {
            stopped.resolve();
            await resumed.promise;
          }
          return result;
        };
      },
    });
  return {
    stream: around(stream),
    snapshots: around(snapshots),
    stopped: stopped.promise,
    resume: () => resumed.resolve(),
  };
}
