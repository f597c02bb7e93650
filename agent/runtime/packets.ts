/** What comes in packets, decrypted and put in order in its turn (sessions.md Packets and routes). */
import {
  decodeFrames,
  decodeRatchetState,
  equalBytes,
  type MessagePiece,
  type NumberSet,
  type Packet,
  ratchetDecrypt,
  type RatchetState,
} from "../../protocol/mod.ts";
import type { OpenedPackets } from "../session/arrival.ts";
import { answered } from "../session/fork.ts";
import { isFormer } from "../session/repair_state.ts";
import type { Connection, StoreChange } from "../store/store.ts";
import { HeardMessages } from "./heard_messages.ts";
import { type OpeningContext, OrderedFrames } from "./ordered_frames.ts";
import { ReceivedPieces } from "./received_pieces.ts";

/** Milliseconds by which the clock of a server may be ahead; more is not believed. */
const clockTolerance = 86_400_000;

type Bytes = Uint8Array<ArrayBuffer>;

/** A packet of a route as its server has delivered it, or why it cannot be read. */
export interface IncomingPacket {
  /** The server's ID of it, base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  readonly packet: Packet | null;
}

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

/** How far the packets are that are being opened: nothing of it is valid before all of it is stored. */
class Opening {
  readonly #connection: Connection;
  readonly #route: string;
  readonly #now: number;
  #ratchet: RatchetState | null;
  readonly #changes: StoreChange[] = [];
  readonly #frames: OrderedFrames;
  readonly #pieces: ReceivedPieces;
  readonly #heard: HeardMessages;
  #isRepeated = false;
  #unreadable = 0;
  #undecrypted: number;
  #lastServerId: string;
  #heardAt: number;
  readonly #repairs: Bytes[] = [];
  /** Whether a packet was left because it is of the session that is to repair this one. */
  isSwitching = false;

  constructor(
    context: OpeningContext,
    connection: Connection,
    { route, now }: { readonly route: string; readonly now: number },
  ) {
    const { ratchet, undecrypted, heardAt = 0 } = connection.session!;
    this.#connection = connection;
    this.#route = route;
    this.#now = now;
    this.#ratchet = ratchet;
    this.#frames = new OrderedFrames(context, connection, { now, changes: this.#changes });
    this.#pieces = new ReceivedPieces(context.store, connection, { route, now, changes: this.#changes });
    this.#heard = new HeardMessages(connection);
    this.#undecrypted = undecrypted;
    this.#heardAt = heardAt;
    this.#lastServerId = connection.inbound.find(({ id }) => id === route)?.lastServerId ?? "";
  }

  async result(): Promise<OpenedPackets> {
    const arrived = await this.#frames.result();
    return {
      ...arrived,
      isRepeated: arrived.isRepeated || this.#isRepeated,
      ratchet: this.#ratchet,
      changes: this.#changes,
      reassembly: this.#pieces.reassembly,
      ...this.#heard.kept(),
      unreadable: this.#unreadable,
      undecrypted: this.#undecrypted,
      lastServerId: this.#lastServerId,
      heardAt: this.#heardAt,
      repairs: this.#repairs,
    };
  }

  /** The frames that are held arrive whose turn it is when these numbers count as stored. */
  async release(stored: NumberSet): Promise<void> {
    await this.#frames.release(stored);
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
    const added = await this.#pieces.add(piece);
    if (added.type === "whole" && await this.#isOfRepair(added.message)) return;
    this.#unreadable += this.#pieces.keep(piece, added);
    if (added.type === "whole") await this.#message(added.message, incoming);
  }

  async #message(message: Uint8Array<ArrayBuffer>, incoming: IncomingPacket): Promise<void> {
    if (this.#ratchet === null) {
      this.#unreadable++;
      return;
    }
    // What a restored side sends with keys that it had not used may have numbers of something else.
    if (await this.#isOfRepair(message) || this.#frames.isOther) return;
    // The other side was told what this one has, and the new session begins with that: what comes now comes again.
    if (this.#connection.session!.keys.repair?.stage?.type === "answered") return;
    const decrypted = await ratchetDecrypt(this.#ratchet, message, this.#now);
    // One of a session that was repaired comes again in the new one, unless its sender has that no more: a receipt shows it.
    if (!decrypted.ok && isFormer(this.#connection.session!, message.subarray(1, 9))) {
      this.#isRepeated = true;
      return;
    }
    const isCopy = this.#hasSeveral && this.#heard.hear(message, this.#route);
    if (!decrypted.ok) {
      if (
        decrypted.code === "REWOUND" ||
        decrypted.code === "USED" && this.#heard.isAnother(message, this.#ratchet.receiving)
      ) {
        this.#frames.isOther = true;
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
    this.#heard.decrypted(message);
    const decoded = decodeFrames(decrypted.plaintext);
    if (!decoded.ok) {
      this.#advance(decrypted.state, message);
      this.#unreadable++;
      return;
    }
    const stored = this.#frames.withFrames(decoded.frames);
    // There is no room: its key is kept, and it comes again.
    if (stored === null) return;
    this.#advance(decrypted.state, message);
    await this.#frames.take(decoded.frames, incoming, stored);
  }

  /** The ratchet goes on by a message. */
  #advance(next: RatchetState, message: Bytes): void {
    const { receiving, ownKey } = this.#ratchet!;
    const isOfNewChain = receiving === null || !equalBytes(receiving.dh, next.receiving!.dh);
    if (isOfNewChain) this.#frames.fork = answered(this.#frames.fork, ownKey);
    this.#heard.keepTag(message, isOfNewChain ? 0 : receiving.number, next.receiving!);
    this.#ratchet = next;
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
}
