/** The frames of messages that were decrypted, put in their order (sessions.md Content frames). */
import {
  decodeFrames,
  digestWith,
  encodeFrame,
  equalBytes,
  type Frame,
  largestBody,
  messageHash,
  type NumberSet,
  type RouteRecord,
} from "../../protocol/mod.ts";
import type { ArrivedFrame, OpenedPackets } from "../session/arrival.ts";
import { digestBehind } from "../session/digest.ts";
import { countBeyond, greatest, hasNumber, union, withNumber } from "../session/number_set.ts";
import { takeRoute } from "../session/route_budget.ts";
import { mostUnreceipted } from "../session/session.ts";
import type {
  AgentStore,
  Connection,
  Fork,
  HeldFrame,
  MessageRecord,
  RouteBudget,
  StoreChange,
} from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { Copies, isOtherFrame } from "./copies.ts";
import { outboundOf } from "./inbound.ts";
import { ReceivedReceipts } from "./received_receipts.ts";
import { ReceivedSearch } from "./received_search.ts";

/** Frames with numbers that have come which are looked up, of packets that are opened together: each can take 132 reads. */
const mostLookups = 16;

const noBytes = new Uint8Array(0);

/** What is needed to open packets. */
export type OpeningContext = Pick<AgentContext, "store" | "allowUnverified">;

/** The packet that has brought a frame. */
export type FrameOrigin = Pick<ArrivedFrame, "serverId" | "serverAt">;

/** Puts frames in order: those whose turn it is arrive, those that are early are held, those that were there are known. */
export class OrderedFrames {
  readonly #context: OpeningContext;
  readonly #store: AgentStore;
  readonly #connection: Connection;
  readonly #now: number;
  readonly #changes: StoreChange[];
  readonly #frames: ArrivedFrame[] = [];
  #stored: NumberSet;
  /** See {@linkcode Session.storedDigest}. */
  #storedDigest: Uint8Array<ArrayBuffer> | undefined;
  readonly #receipts: ReceivedReceipts;
  /** Frames that came early, in these packets. */
  readonly #held = new Map<number, HeldFrame>();
  #routeBudget: RouteBudget | undefined;
  #isRepeated = false;
  /** See {@linkcode Session.copies}. */
  #copies: number | null;
  readonly #known: Copies;
  #lookups = 0;
  readonly #search: ReceivedSearch;
  /** Whether the other side was found to be restored. */
  isOther: boolean;
  /** See {@linkcode Session.fork}; what is told of later numbers is not believed. */
  fork: Fork | null;

  /** Of a connection as it is stored; what is to be stored goes to `changes`. */
  constructor(
    context: OpeningContext,
    connection: Connection,
    { now, changes }: { readonly now: number; readonly changes: StoreChange[] },
  ) {
    const { record: { id }, session, routeBudget, copyIndex: index } = connection;
    const { stored, storedDigest, copies = null, lastCopied: last, parted = false, fork = null } = session!;
    this.#context = context;
    this.#store = context.store;
    this.#connection = connection;
    this.#now = now;
    this.#changes = changes;
    this.#stored = stored;
    this.#storedDigest = storedDigest;
    this.#receipts = new ReceivedReceipts(context.store, connection);
    this.#routeBudget = routeBudget;
    this.#copies = copies;
    this.#known = new Copies(context.store, id, { last, index });
    this.#search = new ReceivedSearch(context.store, id);
    this.isOther = parted;
    this.fork = fork;
  }

  /** What has become of them. Throws what the store throws. */
  async result() {
    const receipt = await this.#receipts.arrived();
    if (receipt !== null) this.#frames.push(receipt);
    for (const held of this.#held.values()) this.#changes.push({ type: "put held", held });
    return {
      frames: this.#frames,
      stored: this.#stored,
      isRepeated: this.#isRepeated,
      isOther: this.isOther,
      copies: this.#copies,
      ...this.#copies !== null && this.#known.index && { copyIndex: this.#known.index },
      fork: this.fork,
      isAhead: this.#receipts.isAhead,
      isStrayed: this.#receipts.isStrayed,
      ...this.#storedDigest && { storedDigest: this.#storedDigest },
      receiptedDigest: this.#receipts.digest,
      tellsDigests: this.#receipts.tellsDigests,
      isDoubted: this.#receipts.isDoubted && this.fork !== null,
    } satisfies Partial<OpenedPackets>;
  }

  /** The numbers that are stored when frames are; `null` when there is no room for them. */
  withFrames(frames: readonly Frame[]): NumberSet | null {
    let stored: NumberSet | null = this.#stored;
    for (const { kind, number } of frames) {
      // The end is not held: a number of it that is stored would stand for a frame that is not there.
      if (number === 0 || kind === "close" || stored === null || hasNumber(stored, number)) continue;
      stored = withNumber(stored, number);
    }
    if (stored === null) return null;
    const { upTo } = stored;
    if (frames.some((frame) => frame.number > upTo && isLarge(frame))) return null;
    // After a repair there may be more, of numbers that are gone.
    const most = Math.max(mostUnreceipted, countBeyond(this.#stored));
    return countBeyond(stored) > most ? null : stored;
  }

  /** The frames of a message, for which there is room: `stored` is with them. Throws what the store throws. */
  async take(frames: readonly Frame[], from: FrameOrigin, stored: NumberSet): Promise<void> {
    for (const [i, frame] of frames.entries()) await this.#frame(frame, from, digestBehind(frames[i + 1]));
    this.#stored = stored;
  }

  async #frame(
    frame: Frame,
    { serverId, serverAt }: FrameOrigin,
    digest: Uint8Array<ArrayBuffer> | null,
  ): Promise<void> {
    const { number } = frame;
    if (frame.kind === "receipt") {
      const told = { from: { serverId, serverAt }, fork: this.fork, digest };
      const isSame = await this.#receipts.unite(frame, told);
      // What was sent since has come as it was sent.
      if (isSame && this.fork !== null && greatest(frame.stored) > this.fork.number) this.fork = null;
      return;
    }
    // It belongs to the receipt before it.
    if (frame.kind === "digest") return;
    // The end, and what has no number, whatever is missing before it.
    if (number === 0 || frame.kind === "close") return await this.#arrive(frame, { serverId, serverAt });
    if (hasNumber(this.#stored, number)) return await this.#again(frame);
    const connection = this.#connection.record.id;
    if (this.#storedDigest) this.#storedDigest = await digestWith(this.#storedDigest, encodeFrame(frame));
    if (number > this.#stored.upTo + 1) {
      this.#held.set(number, { connection, number, frame: encodeFrame(frame), serverId, serverAt });
      this.#stored = union(this.#stored, { upTo: 0, ranges: [[number, number]] });
      return;
    }
    await this.#arrive(frame, { serverId, serverAt });
    await this.release(union(this.#stored, { upTo: number, ranges: [] }), number + 1);
  }

  /** A frame of a new message has the number of one that has come: it is that one, or its sender was restored. */
  async #again(frame: Frame): Promise<void> {
    const { record: { id } } = this.#connection;
    // What is known is not looked up for each frame: one that is held can have a MiB.
    const isWaiting = frame.number > this.#stored.upTo && !this.isOther;
    const held = isWaiting ? this.#held.get(frame.number) ?? await this.#store.held(id, frame.number) : null;
    const isLookedUp = frame.kind === "message" && this.#lookups++ < mostLookups;
    const isOther = (isLookedUp || held !== null) &&
      await isOtherFrame(this.#search, this.#connection, { frame, held, arrived: this.#frames });
    if (isOther) this.isOther = true;
    else this.#isRepeated = true;
  }

  /** Numbers count as stored: frames that were held and have nothing before them any more arrive. */
  async release(stored: NumberSet, from = this.#stored.upTo + 1): Promise<void> {
    const connection = this.#connection.record.id;
    const before = this.#stored;
    this.#stored = stored;
    const numbers = before.ranges.flatMap(([start, end]) =>
      numbersFrom(Math.max(start, from), Math.min(end, stored.upTo))
    );
    for (const next of numbers) {
      const held = this.#held.get(next) ?? await this.#store.held(connection, next);
      // It was lost with what a restored side had, and does not come again: of a message the next one tells.
      if (held === null) continue;
      if (!this.#held.delete(next)) this.#changes.push({ type: "delete held", connection, number: next });
      const decoded = decodeFrames(held.frame);
      if (!decoded.ok) throw new Error(`Cannot go on: held frame ${next} is damaged`);
      await this.#arrive(decoded.frames[0]!, held);
    }
  }

  async #arrive(frame: Frame, { serverId, serverAt }: FrameOrigin): Promise<void> {
    const hash = frame.kind === "message" ? await messageHash(frame) : noBytes;
    const outbound = frame.kind === "route add" ? await this.#outboundOf(frame.route) : null;
    const copy = frame.kind === "message" ? await this.#copyOf(frame) : null;
    this.#frames.push({ frame, serverId, serverAt, hash, delivered: null, taken: [], outbound, copy });
  }

  /** The message that has come with another number before, in these packets or before them. */
  async #copyOf(frame: Frame & { readonly kind: "message" }): Promise<MessageRecord | number | null> {
    if (this.#copies === null) return null;
    // What was further from the first one without receipt was not on its way before.
    if (frame.number > this.#copies + mostUnreceipted) {
      this.#copies = null;
      return null;
    }
    const copy = await this.#known.take(frame);
    if (copy === null && frame.number <= this.#copies) await this.#known.arrived(frame);
    return copy;
  }

  /** The route that the other side adds; no work is done for more of them than there may be. */
  async #outboundOf(record: RouteRecord): Promise<ArrivedFrame["outbound"]> {
    if (this.#connection.outbound.some(({ keys }) => equalBytes(keys.routeId, record.routeId))) return null;
    const left = takeRoute(this.#routeBudget, this.#now);
    if (left === null) return "too many";
    this.#routeBudget = left;
    return await outboundOf(this.#context, record);
  }
}

/** Whether a frame has more than any of a known kind: of those that wait for others there may be many. */
function isLarge(frame: Frame): boolean {
  return frame.kind === "unknown" && frame.content.length > largestBody;
}

function numbersFrom(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
