import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { joinParts, randomBytes, type SessionKeys } from "../../protocol/mod.ts";
import { handshakeDigest, type ReplayGuard } from "../guard/replay_guard.ts";
import { FieldReader, integer, RecordError } from "./bytes.ts";
import { steadyClock } from "./clock.ts";
import { unlessAborted } from "./retrying.ts";

export interface ClusterHandshakesOptions {
  readonly connection: NatsConnection;
  /** What subjects begin with. */
  readonly prefix: string;
  readonly node: string;
  readonly partitions: number;
  /** The name of the node that owns a partition; `null` while there is none. */
  readonly ownerOf: (partition: number) => string | null;
  /**
   * Keeps a number in the log of a partition of this node; `false`: it was there already, `null`: the partition is not
   * this node's. Rejects when nobody can tell.
   */
  readonly add: (partition: number, digest: number) => Promise<boolean | null>;
  /** Milliseconds in which a handshake must be kept. @default 10000 */
  readonly patience?: number;
}

/** Milliseconds. */
const times = { most: 10_000, request: 2_000, pause: 100 };
const answers = { isNew: 1, isKnown: 2, isElsewhere: 3 } as const;
const idLength = 8;

/** What a question has been, or is being, answered. */
interface Served {
  readonly at: number;
  readonly answer: Promise<boolean | null>;
}

/** The partition whose log has the number of a handshake. */
export function handshakePartition(digest: number, partitions: number): number {
  return Math.floor(digest / 2 ** 45) % partitions;
}

/**
 * Remembers handshakes for all nodes of a cluster: each is a record in the log of the partition that its number says. One
 * that cannot be kept in time counts as played back.
 */
export class ClusterHandshakes implements Pick<ReplayGuard, "isNew">, AsyncDisposable {
  readonly #options: ClusterHandshakesOptions;
  readonly #subscription: Subscription;
  readonly #ended = new AbortController();
  /** By the ID of a question, which comes again when its answer takes long: it must not find its own handshake. */
  readonly #served = new Map<string, Served>();

  constructor(options: ClusterHandshakesOptions) {
    this.#options = options;
    this.#subscription = options.connection.subscribe(this.#subject(options.node), {
      callback: (error, message) => {
        if (error === null) void this.#serve(message.data, (answer) => message.respond(answer));
      },
    });
  }

  /** Never rejects. */
  async isNew(keys: SessionKeys): Promise<boolean> {
    const digest = await handshakeDigest(keys);
    const partition = handshakePartition(digest, this.#options.partitions);
    const question = joinParts([integer(partition), integer(digest), randomBytes(idLength)]);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#options.patience ?? times.most);
    const signal = AbortSignal.any([this.#ended.signal, late.signal]);
    try {
      while (!signal.aborted) {
        // A log of this node that is paused answers when it goes on, or never.
        const isNew = await unlessAborted(this.#ask(question, partition, digest), signal).catch(() => null);
        if (isNew !== null) return isNew;
        await steadyClock.wait(times.pause, signal);
      }
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Handshakes that wait are refused at once. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#subscription.unsubscribe();
    return Promise.resolve();
  }

  #subject(node: string): string {
    return `${this.#options.prefix}.${node}.handshake`;
  }

  /** `null`: there is nobody to ask. */
  async #ask(
    question: Uint8Array<ArrayBuffer>,
    partition: number,
    digest: number,
  ): Promise<boolean | null> {
    const { connection, node, ownerOf, add } = this.#options;
    const owner = ownerOf(partition);
    if (owner === null) return null;
    if (owner === node) return await add(partition, digest);
    const { data } = await connection.request(this.#subject(owner), question, { timeout: times.request });
    return data[0] === answers.isNew ? true : data[0] === answers.isKnown ? false : null;
  }

  async #serve(question: Uint8Array, respond: (answer: Uint8Array) => void): Promise<void> {
    try {
      const reader = new FieldReader(question);
      const [partition, digest] = [reader.integer("a partition"), reader.integer("a number")];
      if (digest < 0) throw new RecordError("a number is negative");
      // Nodes of earlier versions give no ID.
      const isNew = await (reader.left === 0
        ? this.#options.add(partition, digest)
        : this.#answer(reader.bytes(idLength, "an ID").toHex(), partition, digest));
      respond(Uint8Array.of(isNew === null ? answers.isElsewhere : isNew ? answers.isNew : answers.isKnown));
    } catch {
      // Nobody can tell: who has asked does so again.
    }
  }

  async #answer(id: string, partition: number, digest: number): Promise<boolean | null> {
    const now = performance.now();
    for (const [old, { at }] of this.#served) {
      if (now - at < 2 * times.most) break;
      this.#served.delete(old);
    }
    const key = `${digest} ${id}`;
    const known = this.#served.get(key);
    if (known !== undefined) return await known.answer;
    const answer = this.#options.add(partition, digest);
    this.#served.set(key, { at: now, answer });
    try {
      const isNew = await answer;
      if (isNew === null) this.#served.delete(key);
      return isNew;
    } catch (error) {
      this.#served.delete(key);
      throw error;
    }
  }
}
