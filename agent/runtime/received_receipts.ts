/** What the receipts in packets that are opened together say (sessions.md Content frames). */
import type { Frame, NumberSet } from "../../protocol/mod.ts";
import type { ArrivedFrame, Delivered } from "../session/arrival.ts";
import { upTo } from "../session/fork.ts";
import { difference, greatest, union } from "../session/number_set.ts";
import { mostScattered } from "../session/receipt.ts";
import { mostUnreceipted } from "../session/session.ts";
import type { AgentStore, Connection, Fork, FrameRecord } from "../store/store.ts";

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
  /** Whether one tells of what was sent since a start in doubt. */
  isDoubted = false;

  /** None has come yet; the connection is as it is stored. */
  constructor(store: AgentStore, connection: Connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /** One has come. Of numbers that were not sent, and of those after a fork, nothing is believed. */
  unite(frame: ReceiptFrame, from: From, fork: Fork | null): void {
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
