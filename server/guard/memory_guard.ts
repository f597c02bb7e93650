import { getHeapStatistics } from "node:v8";
import type { LimitSource } from "../config/limits.ts";
import type { ServerUsage } from "./server_usage.ts";

export interface Kept {
  readonly connections: number;
  readonly queues: number;
  readonly messages: number;
  readonly messageBytes: number;
  /** Queue IDs that connections have opened. */
  readonly opened: number;
}

export interface HeapUse {
  readonly used: number;
  readonly objects: number;
  /** Objects cannot take more: the process would end. */
  readonly objectLimit: number;
}

export interface MemoryGuardParts {
  readonly heapUse?: () => HeapUse;
  readonly collect?: (use: HeapUse) => void;
  /** What the other processes of the server hold. */
  readonly others?: Pick<ServerUsage, "processes" | "heldByOthers">;
}

const nobody = { processes: 1, heldByOthers: 0 };
const openShare = 0.9;
/** Shares of the limit: what is held falls to this when connections make room, and what those of one address may hold all the same. */
const roomShare = 3 / 4, leastOfOne = 1 / 16;
/** Share of the largest heap above which the process is at risk whatever the limit says. */
const riskyShare = 0.85;
/** Looks at a heap above the limit before it is believed that this is not garbage. */
const looksForGarbage = 5;
const looksPerCollection = 30;
const asksPerCollection = 3;

/** Bytes that these take beside their content (`deno task bench connections growth`). */
const perConnection = 25 * 1024, perQueue = 1.5 * 1024, perOpened = 512;
export const perMessage = 640;

/**
 * Applies `limits.memory`. What is counted decides at once; what the heap holds beyond that counts when it
 * stays although its garbage was collected. Not resident memory: the process keeps that after an attack.
 */
export class MemoryGuard {
  readonly #kept: () => Kept;
  readonly #limits: LimitSource;
  readonly #heapUse: () => HeapUse;
  readonly #collect: (use: HeapUse) => void;
  readonly #others: Pick<ServerUsage, "processes" | "heldByOthers">;
  #buffers = 0;
  #isFull = false;
  #isHeapFull = false;
  #looksAbove = 0;
  #heldAtCollection = 0;
  #asks = 0;

  constructor(
    kept: () => Kept,
    limits: LimitSource,
    { heapUse = currentHeapUse, collect = collectGarbage, others = nobody }: MemoryGuardParts = {},
  ) {
    this.#kept = kept;
    this.#limits = limits;
    this.#heapUse = heapUse;
    this.#collect = collect;
    this.#others = others;
  }

  hold(bytes: number): void {
    this.#buffers += bytes;
  }

  get held(): number {
    const { connections, queues, messages, messageBytes, opened } = this.#kept();
    return this.#buffers + connections * perConnection + queues * perQueue + messages * perMessage +
      messageBytes + opened * perOpened;
  }

  get free(): number {
    const limit = this.#limits().memory;
    return limit === 0 ? Infinity : Math.max(0, limit - this.held - this.#others.heldByOthers);
  }

  isShort(): boolean {
    const limit = this.#limits().memory;
    const held = this.held + this.#others.heldByOthers;
    this.#isFull = limit > 0 && held > (this.#isFull ? limit * openShare : limit);
    return this.#isFull || this.#isHeapFull;
  }

  /**
   * What connections of this process should give back while memory is short, and what those of one address may hold all
   * the same; `null`: nothing.
   */
  get wanted(): { readonly bytes: number; readonly least: number } | null {
    const { memory: limit } = this.#limits();
    const { processes, heldByOthers } = this.#others;
    const bytes = (this.held + heldByOthers - limit * roomShare) / processes;
    return this.#isFull && bytes > 0 ? { bytes, least: limit * leastOfOne / processes } : null;
  }

  /** What others do not hold, but at least this process's part: what it holds beyond what is counted is its own. */
  #heapLimit(): number {
    const limit = this.#limits().memory;
    return Math.max(limit / this.#others.processes, limit - this.#others.heldByOthers);
  }

  look(): void {
    const use = this.#heapUse();
    const share = this.#isHeapFull ? openShare : 1;
    const limit = this.#heapLimit();
    const isRisky = use.objects > use.objectLimit * riskyShare * share;
    if (!isRisky && (limit === 0 || use.used <= limit * share)) {
      this.#isHeapFull = false;
      this.#looksAbove = 0;
      return;
    }
    const { held } = this;
    if (this.#looksAbove % looksPerCollection === 0 || held < this.#heldAtCollection * 0.75) {
      this.#heldAtCollection = held;
      this.#asks = asksPerCollection;
    }
    if (this.#asks > 0) {
      this.#asks--;
      this.#collect(use);
    }
    this.#looksAbove++;
    if (isRisky || this.#looksAbove >= looksForGarbage) this.#isHeapFull = true;
  }
}

function currentHeapUse(): HeapUse {
  const { heapUsed, external } = Deno.memoryUsage();
  return { used: heapUsed + external, objects: heapUsed, objectLimit: getHeapStatistics().heap_size_limit };
}

/** V8 collects soon after buffers grow by much; this one is never written to, so that it takes no memory. */
function collectGarbage({ used }: HeapUse): void {
  try {
    new ArrayBuffer(Math.max(leastGrowth, 2 * used)).transfer(0);
  } catch {
    // So much cannot even be reserved; V8 collects by itself then.
  }
}

const leastGrowth = 2 ** 28;
