/** What comes in packets, decrypted and put in order in its turn (sessions.md Packets and routes). */
import {
  addPiece,
  decodeFrames,
  decodeHeader,
  decodeRatchetState,
  digestWith,
  type DroppedMessage,
  encodeBase64,
  encodeFrame,
  equalBytes,
  type Frame,
  messageHash,
  type MessagePiece,
  type NumberSet,
  type Packet,
  ratchetDecrypt,
  type RatchetState,
  type Reassembly,
  type ReceivingChain,
  type RouteRecord,
  tagLength,
} from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";
import { Copies, isOtherFrame } from "./copies.ts";
import { ReceivedReceipts } from "./received_receipts.ts";
import { outboundOf } from "./inbound.ts";
import type { ArrivedFrame, OpenedPackets } from "../session/arrival.ts";
import { digestBehind } from "../session/digest.ts";
import { countBeyond, greatest, hasNumber, union, withNumber } from "../session/number_set.ts";
import { isAnother, withTag } from "../session/chain_tags.ts";
import { answered } from "../session/fork.ts";
import { reassemblyOf } from "../session/pieces.ts";
import { isFormer } from "../session/repair_state.ts";
import { takeRoute } from "../session/route_budget.ts";
import { mostUnreceipted } from "../session/session.ts";
import type {
  AgentStore,
  Connection,
  Fork,
  HeldFrame,
  MessageRecord,
  PieceRecord,
  RouteBudget,
  StoreChange,
} from "../store/store.ts";

/** Messages of a connection with several routes of which is known by which of them they came. */
const mostHeard = 128;

/** Frames with numbers that have come which are looked up, of packets that are opened together: each can take 20 reads. */
const mostLookups = 16;

/** Milliseconds by which the clock of a server may be ahead; more is not believed. */
const clockTolerance = 86_400_000;

const noBytes = new Uint8Array(0);

type Bytes = Uint8Array<ArrayBuffer>;

/** A packet of a route as its server has delivered it, or why it cannot be read. */
export interface IncomingPacket {
  /** The server's ID of it, base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  readonly packet: Packet | null;
}

type OpeningContext = Pick<AgentContext, "store" | "allowUnverified">;

/** How many packets were opened; `isSwitching`: the next one is of the session that is to repair this one. */
export interface OpenedSome extends OpenedPackets {
  readonly count: number;
  readonly isSwitching: boolean;
}

/** Decrypts packets of one route, one after the other, and puts the frames in order. */
export async function openPackets(
  context: OpeningContext,
  connection: Connection,
  { route, incoming, now }: {
    readonly route: string;
    readonly incoming: readonly IncomingPacket[];
    readonly now: number;
  },
): Promise<OpenedSome> {
  const opening = new Opening(context, connection, { route, now });
  let count = 0;
  for (const packet of incoming) {
    await opening.take(packet);
    if (opening.isSwitching) break;
    count++;
  }
  return { ...await opening.result(), count, isSwitching: opening.isSwitching };
}

/** The held frames whose turn it is when numbers count as stored that are not there. */
export async function releaseHeld(
  context: OpeningContext,
  connection: Connection,
  { stored, now }: { readonly stored: NumberSet; readonly now: number },
): Promise<Pick<OpenedPackets, "frames" | "changes">> {
  const opening = new Opening(context, connection, { route: "", now });
  await opening.release(stored);
  return await opening.result();
}

type From = Pick<IncomingPacket, "serverId" | "serverAt">;

/** How far the packets are that are being opened: nothing of it is valid before all of it is stored. */
class Opening {
  readonly #context: OpeningContext;
  readonly #store: AgentStore;
  readonly #connection: Connection;
  readonly #route: string;
  readonly #now: number;
  #ratchet: RatchetState | null;
  #stored: NumberSet;
  /** See {@linkcode Session.storedDigest}. */
  #storedDigest: Bytes | undefined;
  readonly #receipts: ReceivedReceipts;
  #reassembly: Reassembly | undefined;
  readonly #frames: ArrivedFrame[] = [];
  readonly #changes: StoreChange[] = [];
  /** Frames that came early, in these packets. */
  readonly #held = new Map<number, HeldFrame>();
  /** Routes with the tags of the messages that came by them last, when there are several. */
  readonly #heard: string[];
  #routeBudget: RouteBudget | undefined;
  #isRepeated = false;
  #unreadable = 0;
  #undecrypted: number;
  #lastServerId: string;
  readonly #decrypted: string[];
  #isOther: boolean;
  /** See {@linkcode Session.copies}. */
  #copies: number | null;
  readonly #known: Copies;
  #heardAt: number;
  /** See {@linkcode Session.fork}; what is told of later numbers is not believed. */
  #fork: Fork | null;
  #lookups = 0;
  #tags: Bytes | undefined;
  readonly #repairs: Bytes[] = [];
  /** Whether a packet was left because it is of the session that is to repair this one. */
  isSwitching = false;

  constructor(
    context: OpeningContext,
    connection: Connection,
    { route, now }: { readonly route: string; readonly now: number },
  ) {
    this.#context = context;
    this.#store = context.store;
    this.#connection = connection;
    this.#route = route;
    this.#now = now;
    const { ratchet, stored } = connection.session!;
    this.#ratchet = ratchet;
    this.#stored = stored;
    this.#storedDigest = connection.session!.storedDigest;
    this.#undecrypted = connection.session!.undecrypted;
    this.#reassembly = connection.reassembly;
    this.#routeBudget = connection.routeBudget;
    this.#heard = [...connection.heard ?? []];
    this.#decrypted = [...connection.decrypted ?? []];
    this.#isOther = connection.session!.parted ?? false;
    this.#copies = connection.session!.copies ?? null;
    this.#known = new Copies(context.store, connection.record.id, {
      last: connection.session!.lastCopied,
      index: connection.copyIndex,
    });
    this.#heardAt = connection.session!.heardAt ?? 0;
    this.#fork = connection.session!.fork ?? null;
    this.#receipts = new ReceivedReceipts(context.store, connection);
    this.#tags = connection.session!.tags;
    this.#lastServerId = connection.inbound.find(({ id }) => id === route)?.lastServerId ?? "";
  }

  async result(): Promise<OpenedPackets> {
    const receipt = await this.#receipts.arrived();
    if (receipt !== null) this.#frames.push(receipt);
    for (const held of this.#held.values()) this.#changes.push({ type: "put held", held });
    return {
      ratchet: this.#ratchet,
      frames: this.#frames,
      stored: this.#stored,
      changes: this.#changes,
      reassembly: this.#reassembly,
      heard: this.#heard.slice(-mostHeard),
      isRepeated: this.#isRepeated,
      unreadable: this.#unreadable,
      undecrypted: this.#undecrypted,
      lastServerId: this.#lastServerId,
      decrypted: this.#decrypted.slice(-mostHeard),
      isOther: this.#isOther,
      isAhead: this.#receipts.isAhead,
      copies: this.#copies,
      ...this.#copies !== null && this.#known.index && { copyIndex: this.#known.index },
      heardAt: this.#heardAt,
      fork: this.#fork,
      isStrayed: this.#receipts.isStrayed,
      ...this.#storedDigest && { storedDigest: this.#storedDigest },
      receiptedDigest: this.#receipts.digest,
      tellsDigests: this.#receipts.tellsDigests,
      isDoubted: this.#receipts.isDoubted && this.#fork !== null,
      ...this.#tags && { tags: this.#tags },
      repairs: this.#repairs,
    };
  }

  async take(incoming: IncomingPacket): Promise<void> {
    const { packet } = incoming;
    if (packet?.type === "message") await this.#message(packet.message, incoming);
    else if (packet?.type === "piece") await this.#piece(packet, incoming);
    else if (packet?.type === "repair") this.#repairs.push(packet.content.slice());
    else this.#unreadable++;
    if (!this.isSwitching) this.#lastServerId = incoming.serverId;
  }

  async #piece(piece: MessagePiece, incoming: IncomingPacket): Promise<void> {
    this.#reassembly ??= reassemblyOf(await this.#store.pieces(this.#connection.record.id));
    const added = await addPiece(this.#reassembly, piece, { route: this.#route, now: this.#now });
    const known = this.#reassembly.unfinished.some(({ route, tag }) =>
      route === this.#route && encodeBase64(tag) === encodeBase64(piece.tag)
    );
    for (const dropped of added.dropped) this.#deletePieces(dropped);
    if (added.type === "whole" && await this.#isOfRepair(added.message)) return;
    this.#unreadable += added.dropped.length;
    if (added.type === "whole") {
      // When its frames cannot be stored now, all of it is to come again.
      if (known) this.#deletePieces({ route: this.#route, tag: piece.tag });
      await this.#message(added.message, incoming);
    } else if (added.type === "refused") {
      this.#unreadable++;
      if (added.code === "TAG" && known) this.#deletePieces({ route: this.#route, tag: piece.tag });
    } else if (added.type === "kept") this.#putPiece(piece, added.reassembly);
    this.#reassembly = added.reassembly;
  }

  #putPiece({ tag, index, count, total, piece }: MessagePiece, { unfinished }: Reassembly): void {
    const name = encodeBase64(tag);
    const message = unfinished.find((one) => one.route === this.#route && encodeBase64(one.tag) === name);
    if (message === undefined) return;
    const record: PieceRecord = {
      connection: this.#connection.record.id,
      route: this.#route,
      tag: name,
      index,
      count,
      total,
      since: message.since,
      piece: piece.slice(),
    };
    this.#changes.push({ type: "put piece", piece: record });
  }

  #deletePieces({ route, tag }: Pick<DroppedMessage, "route" | "tag">): void {
    const connection = this.#connection.record.id;
    this.#changes.push({ type: "delete pieces", connection, route, tag: encodeBase64(tag) });
  }

  async #message(message: Uint8Array<ArrayBuffer>, incoming: IncomingPacket): Promise<void> {
    if (this.#ratchet === null) {
      this.#unreadable++;
      return;
    }
    // What a restored side sends with keys that it had not used may have numbers of something else.
    if (await this.#isOfRepair(message) || this.#isOther) return;
    // The other side was told what this one has, and the new session begins with that: what comes now comes again.
    if (this.#connection.session!.keys.repair?.stage?.type === "answered") return;
    const decrypted = await ratchetDecrypt(this.#ratchet, message, this.#now);
    // One of a session that was repaired comes again in the new one, unless its sender has that no more: a receipt shows it.
    if (!decrypted.ok && isFormer(this.#connection.session!, message.subarray(1, 9))) {
      this.#isRepeated = true;
      return;
    }
    const isCopy = this.#hear(message);
    if (!decrypted.ok) {
      if (decrypted.code === "REWOUND" || decrypted.code === "USED" && this.#isAnother(message)) {
        this.#isOther = true;
        return;
      }
      // Each side would answer the copies of the other's receipts for ever; of a late one the chain may be forgotten.
      if (isCopy || this.#isLate(incoming) && (this.#hasSeveral || decrypted.code !== "USED")) return;
      if (decrypted.code === "USED") this.#isRepeated = true;
      else {
        this.#unreadable++;
        this.#undecrypted++;
      }
      return;
    }
    this.#undecrypted = 0;
    this.#heardAt = Math.max(this.#heardAt, Math.min(incoming.serverAt, this.#now + clockTolerance));
    this.#decrypted.push(`${placeOf(message)} ${tagOf(message)}`);
    const decoded = decodeFrames(decrypted.plaintext);
    if (!decoded.ok) {
      this.#advance(decrypted.state, message);
      this.#unreadable++;
      return;
    }
    const stored = this.#withFrames(decoded.frames);
    // There is no room: its key is kept, and it comes again.
    if (stored === null) return;
    this.#advance(decrypted.state, message);
    for (const [i, frame] of decoded.frames.entries()) {
      await this.#frame(frame, incoming, digestBehind(decoded.frames[i + 1]));
    }
    this.#stored = stored;
  }

  /** The ratchet goes on by a message. */
  #advance(next: RatchetState, message: Bytes): void {
    const { receiving, ownKey } = this.#ratchet!;
    const isOfNewChain = receiving === null || !equalBytes(receiving.dh, next.receiving!.dh);
    if (isOfNewChain) this.#fork = answered(this.#fork, ownKey);
    this.#keepTag(message, isOfNewChain ? 0 : receiving.number, next.receiving!);
    this.#ratchet = next;
  }

  /** A message is known by its tag as long as it is one of the last of its chain, which had so many before. */
  #keepTag(message: Bytes, before: number, { dh, number: after }: ReceivingChain): void {
    const decoded = decodeHeader(message);
    if (!decoded.ok || !equalBytes(decoded.header.dh, dh)) return;
    const { number } = decoded.header;
    this.#tags = withTag(this.#tags ?? noBytes, { message, number }, [before, after]);
  }

  get #hasSeveral(): boolean {
    return this.#connection.inbound.length > 1;
  }

  /** Whether a message is of the session that is to repair this one, and shows that the other side has that. */
  async #isOfRepair(message: Bytes): Promise<boolean> {
    const stage = this.#connection.session?.keys.repair?.stage;
    if (stage?.type !== "answered") return false;
    const next = await decodeRatchetState(stage.ratchet);
    const decrypted = next && await ratchetDecrypt(next, message, this.#now);
    this.isSwitching = decrypted?.ok ?? false;
    return this.isSwitching;
  }

  /**
   * Whether a server has a message since before the last one that was decrypted: a copy by another route, or of a server
   * that was restored itself, whose chain may be forgotten.
   */
  #isLate({ serverAt }: IncomingPacket): boolean {
    return serverAt < Math.min(this.#heardAt, this.#now + clockTolerance);
  }

  /** Whether a message has the place of one of the last ones of the chain, or of a short time ago, and is another one. */
  #isAnother(message: Bytes): boolean {
    const receiving = this.#ratchet?.receiving;
    const header = decodeHeader(message);
    if (receiving && header.ok && equalBytes(header.header.dh, receiving.dh)) {
      const { number } = header.header;
      if (this.#tags && isAnother(this.#tags, { message, number }, receiving.number)) return true;
    }
    const place = placeOf(message);
    const before = this.#decrypted.findLast((one) => one.startsWith(`${place} `));
    return before !== undefined && before !== `${place} ${tagOf(message)}`;
  }

  /** Whether a message has come by other routes alone: the other side sends each by all of them. */
  #hear(message: Uint8Array<ArrayBuffer>): boolean {
    if (!this.#hasSeveral) return false;
    const tag = tagOf(message);
    const name = `${this.#route} ${tag}`;
    if (this.#heard.includes(name)) return false;
    const isCopy = this.#heard.some((other) => other.endsWith(` ${tag}`));
    this.#heard.push(name);
    return isCopy;
  }

  /** The numbers that are stored when frames are; `null` when there is no room for them. */
  #withFrames(frames: readonly Frame[]): NumberSet | null {
    let stored: NumberSet | null = this.#stored;
    for (const { kind, number } of frames) {
      // The end is not held: a number of it that is stored would stand for a frame that is not there.
      if (number === 0 || kind === "close" || stored === null || hasNumber(stored, number)) continue;
      stored = withNumber(stored, number);
    }
    if (stored === null) return null;
    // After a repair there may be more, of numbers that are gone.
    const most = Math.max(mostUnreceipted, countBeyond(this.#stored));
    return countBeyond(stored) > most ? null : stored;
  }

  async #frame(frame: Frame, { serverId, serverAt }: IncomingPacket, digest: Bytes | null): Promise<void> {
    const { number } = frame;
    if (frame.kind === "receipt") {
      const told = { from: { serverId, serverAt }, fork: this.#fork, digest };
      const isSame = await this.#receipts.unite(frame, told);
      // What was sent since has come as it was sent.
      if (isSame && this.#fork !== null && greatest(frame.stored) > this.#fork.number) this.#fork = null;
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
    const isWaiting = frame.number > this.#stored.upTo;
    const held = isWaiting ? this.#held.get(frame.number) ?? await this.#store.held(id, frame.number) : null;
    const isLookedUp = frame.kind === "message" && this.#lookups++ < mostLookups;
    const isOther = (isLookedUp || held !== null) &&
      await isOtherFrame(this.#store, this.#connection, { frame, held, arrived: this.#frames });
    if (isOther) this.#isOther = true;
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

  async #arrive(frame: Frame, { serverId, serverAt }: From): Promise<void> {
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

/** Chain and number in the header of a message that was decrypted once. */
function placeOf(message: Bytes): string {
  const header = decodeHeader(message);
  return header.ok ? `${encodeBase64(header.header.dh.slice(0, 9))} ${header.header.number}` : "";
}

/** Bytes at the end of a message that tell it from all others. */
function tagOf(message: Bytes): string {
  return encodeBase64(message.slice(-tagLength));
}

function numbersFrom(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
