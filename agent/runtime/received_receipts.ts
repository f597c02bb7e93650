/** What the receipts in packets that are opened together say (sessions.md Content frames). */
import { equalBytes, type Frame, type NumberSet } from "../../protocol/mod.ts";
import type { ArrivedFrame, Delivered } from "../session/arrival.ts";
import { upTo } from "../session/fork.ts";
import { tellsDigests } from "../session/digest.ts";
import { difference, greatest, union } from "../session/number_set.ts";
import { mostScattered } from "../session/receipt.ts";
import { unansweredRepair } from "../session/repair_state.ts";
import { mostUnreceipted } from "../session/session.ts";
import type { AgentStore, Connection, Fork, FrameRecord } from "../store/store.ts";
import { digestOver } from "./frame_digest.ts";

/** Messages of which is looked up at a time that they are delivered: more than can wait for it at the other side. */
const mostDelivered = 4 * mostUnreceipted;

type From = Pick<ArrivedFrame, "serverId" | "serverAt">;
type ReceiptFrame = Extract<Frame, { readonly kind: "receipt" }>;

/** What receipts say together; `null`: nothing that can be believed. */
interface UnitedReceipt {
  /** The last one. */
  readonly frame: ReceiptFrame;
  readonly from: From;
  readonly stored: NumberSet | null;
  readonly acknowledged: NumberSet | null;
}

/** Unites receipts, of which there can be a thousand in a message, and looks up what they tell. */
export class ReceivedReceipts {
  readonly #store: AgentStore;
  readonly #connection: Connection;
  #receipt: UnitedReceipt | null = null;
  /** Whether one tells of what this side has not sent, as far as it knows. */
  isAhead = false;
  /** Whether one tells of other frames than this side's with the same numbers. */
  isStrayed = false;
  /** See {@linkcode Session.receiptedDigest}. */
  digest: Uint8Array<ArrayBuffer> | null;
  /** Whether one has had a digest. */
  tellsDigests = false;
  /** Whether one tells of what was sent since a start in doubt. */
  isDoubted = false;

  /** None has come yet; the connection is as it is stored. */
  constructor(store: AgentStore, connection: Connection) {
    this.#store = store;
    this.#connection = connection;
    this.digest = connection.session!.receiptedDigest ?? null;
  }

  /**
   * One has come; `digest`: of what it tells to be stored. It is believed when that is of the frames that this side has
   * sent; then `true` is given. Without digests nothing is believed of numbers that were not sent, and of those after a fork.
   */
  async unite(
    frame: ReceiptFrame,
    { from, fork, digest }: {
      readonly from: From;
      readonly fork: Fork | null;
      readonly digest: Uint8Array<ArrayBuffer> | null;
    },
  ): Promise<boolean> {
    if (digest !== null) this.tellsDigests = true;
    if (digest !== null && this.digest !== null) return await this.#compare(frame, { from, digest });
    // It was made before the other side could tell any, or tells a part.
    if (digest === null && tellsDigests(this.#connection.session!)) return false;
    this.#believe(frame, from, fork);
    const stored = this.#receipt?.stored ?? this.#connection.session!.receipted;
    const isWhole = difference(frame.stored, stored).length + difference(stored, frame.stored).length === 0;
    const isIdle = unansweredRepair(this.#connection.session!) === null;
    if (digest !== null && isWhole && isIdle) this.digest = digest;
    else if (stored !== this.#connection.session!.receipted) this.digest = null;
    return false;
  }

  /** Whether a receipt is of this side's frames: nothing that was sent in another life has their digest. */
  async #compare(
    frame: ReceiptFrame,
    { from, digest }: { readonly from: From; readonly digest: Uint8Array<ArrayBuffer> },
  ): Promise<boolean> {
    const { record: { id, lastSent }, session } = this.#connection;
    const { receipted, lastEncrypted, delivered } = session!;
    // What has stray numbers is compared once, and after the repair.
    if (this.isStrayed || unansweredRepair(session!) !== null) return false;
    const known = this.#receipt?.stored ?? receipted;
    if (greatest(frame.stored) > Math.max(lastEncrypted, greatest(receipted))) {
      this.isAhead = true;
      return false;
    }
    const news = difference(frame.stored, known), isBehind = difference(known, frame.stored).length > 0;
    // One that comes late: what it tells was told since.
    if (isBehind && news.length === 0) return false;
    const expected = isBehind
      ? null
      : await digestOver(this.#store, id, { digest: this.digest!, ranges: news });
    if (expected === null || !equalBytes(expected, digest)) {
      this.isStrayed = true;
      return false;
    }
    const { acknowledged } = frame;
    const all = union(this.#receipt?.acknowledged ?? delivered, acknowledged);
    const isKept = greatest(acknowledged) <= lastSent.id && all.ranges.length <= mostScattered;
    this.digest = expected;
    this.#receipt = {
      frame,
      from,
      stored: union(known, frame.stored),
      acknowledged: isKept ? all : this.#receipt?.acknowledged ?? null,
    };
    return true;
  }

  #believe(frame: ReceiptFrame, from: From, fork: Fork | null): void {
    const { record: { lastSent }, session } = this.#connection;
    const { receipted, lastEncrypted, delivered } = session!;
    let { stored, acknowledged } = this.#receipt ?? { stored: null, acknowledged: null };
    const believed = fork?.number ?? Infinity, believedMessage = fork?.lastSent.id ?? Infinity;
    if (greatest(frame.stored) > believed || greatest(frame.acknowledged) > believedMessage) {
      this.isDoubted = true;
    }
    // After a repair what is receipted may be beyond what is encrypted again.
    const most = Math.max(lastEncrypted, greatest(receipted));
    if (greatest(frame.stored) <= most) stored = union(stored ?? receipted, upTo(frame.stored, believed));
    else this.isAhead = true;
    if (greatest(frame.acknowledged) <= lastSent.id) {
      const united = union(acknowledged ?? delivered, upTo(frame.acknowledged, believedMessage));
      if (united.ranges.length <= mostScattered) acknowledged = united;
    }
    this.#receipt = { frame, from, stored, acknowledged };
  }

  /** What all of them say, as one; `null` when none has come. */
  async arrived(): Promise<ArrivedFrame | null> {
    if (this.#receipt === null) return null;
    const { frame, from, stored, acknowledged } = this.#receipt;
    const delivered = acknowledged && await this.#deliveredBy(acknowledged);
    const taken = stored === null ? [] : await this.#takenBy(stored);
    const united = stored === null ? frame : { ...frame, stored };
    return { frame: united, ...from, hash: new Uint8Array(0), delivered, taken, outbound: null };
  }

  /** The frames that a receipt tells of before what has sent them does. */
  async #takenBy(stored: NumberSet): Promise<Pick<FrameRecord, "number" | "messageId">[]> {
    const { record: { id }, session } = this.#connection;
    const { receipted, lastTaken } = session!;
    const taken = [];
    for (const [from, to] of difference(stored, union(receipted, { upTo: lastTaken, ranges: [] }))) {
      for (let number = from; number <= to; number++) {
        const [frame] = await this.#store.frames(id, number - 1, 1);
        if (frame?.number === number) taken.push({ number, messageId: frame.messageId });
      }
    }
    return taken;
  }

  /** What a receipt tells that was not known. */
  async #deliveredBy(acknowledged: NumberSet): Promise<Delivered> {
    const { record: { id }, session } = this.#connection;
    let left = mostDelivered;
    let numbers = session!.delivered;
    const messages = [];
    for (const [from, to] of difference(acknowledged, numbers)) {
      const found = await this.#store.undelivered(id, from, to, left);
      messages.push(...found);
      left -= found.length;
      if (left <= 0) {
        numbers = union(numbers, { upTo: 0, ranges: [[from, found.at(-1)!.number]] });
        break;
      }
      numbers = union(numbers, { upTo: 0, ranges: [[from, to]] });
    }
    return { messages, numbers };
  }
}
