import {
  addPiece,
  type DroppedMessage,
  encodeBase64,
  type MessagePiece,
  type Reassembled,
  type Reassembly,
} from "../../protocol/mod.ts";
import { reassemblyOf } from "../session/pieces.ts";
import type { AgentStore, Connection, PieceRecord, StoreChange } from "../store/store.ts";

/** The messages in pieces of one route (sessions.md Packets and routes), as packets that are opened together change them. */
export class ReceivedPieces {
  readonly #store: AgentStore;
  readonly #id: string;
  readonly #route: string;
  readonly #now: number;
  readonly #changes: StoreChange[];
  #reassembly: Reassembly | undefined;

  /** Of a connection as it is stored; what is to be stored goes to `changes`. */
  constructor(
    store: AgentStore,
    { record, reassembly }: Connection,
    { route, now, changes }: {
      readonly route: string;
      readonly now: number;
      readonly changes: StoreChange[];
    },
  ) {
    this.#store = store;
    this.#id = record.id;
    this.#route = route;
    this.#now = now;
    this.#changes = changes;
    this.#reassembly = reassembly;
  }

  /** What there is of messages of which pieces are missing; `undefined`: nothing was read of it. */
  get reassembly(): Reassembly | undefined {
    return this.#reassembly;
  }

  /** What becomes of a piece; it is not kept yet. Throws what the store throws. */
  async add(piece: MessagePiece): Promise<Reassembled> {
    this.#reassembly ??= reassemblyOf(await this.#store.pieces(this.#id));
    const added = await addPiece(this.#reassembly, piece, { route: this.#route, now: this.#now });
    for (const dropped of added.dropped) this.#delete(dropped);
    return added;
  }

  /** Keeps what was added, of a whole message nothing; gives how many packets cannot be read for that. */
  keep(piece: MessagePiece, added: Reassembled): number {
    const isKnown = this.#isKnown(piece);
    this.#reassembly = added.reassembly;
    let unreadable = added.dropped.length;
    // When the frames of a whole one cannot be stored now, all of it is to come again.
    if (isKnown && (added.type === "whole" || added.type === "refused" && added.code === "TAG")) {
      this.#delete({ route: this.#route, tag: piece.tag });
    }
    if (added.type === "refused") unreadable++;
    if (added.type === "kept") this.#put(piece);
    return unreadable;
  }

  #isKnown({ tag }: MessagePiece): boolean {
    return this.#messageOf(encodeBase64(tag)) !== undefined;
  }

  #messageOf(name: string) {
    return this.#reassembly?.unfinished.find(({ route, tag }) =>
      route === this.#route && encodeBase64(tag) === name
    );
  }

  #put({ tag, index, count, total, piece }: MessagePiece): void {
    const name = encodeBase64(tag);
    const message = this.#messageOf(name);
    if (message === undefined) return;
    const record: PieceRecord = {
      connection: this.#id,
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

  #delete({ route, tag }: Pick<DroppedMessage, "route" | "tag">): void {
    this.#changes.push({ type: "delete pieces", connection: this.#id, route, tag: encodeBase64(tag) });
  }
}
