/** What stores keep of sessions, sealed as in `rows.ts`. The same for every store. */
import { decodeRatchetState, encodeRatchetState } from "../../protocol/mod.ts";
import { placeIn } from "./rows.ts";
import type { FrameRecord, HeldFrame, PieceRecord, Session } from "./session_records.ts";
import { changedError, openRecord, sealRecord, type Vault } from "./vault.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A session; `keys`: `null` to leave those that are there. */
export interface SessionRow<Keys extends Bytes | null = Bytes> {
  readonly connection: string;
  readonly keys: Keys;
  /** `encodeRatchetState`; empty when there is none. */
  readonly ratchet: Bytes;
  readonly data: Bytes;
}

/** A frame that has no receipt. */
export interface FrameRow {
  readonly connection: string;
  readonly number: number;
  readonly data: Bytes;
  readonly frame: Bytes;
  readonly message: Bytes;
}

/** A frame that came before others. */
export interface HeldRow {
  readonly connection: string;
  readonly number: number;
  readonly data: Bytes;
  readonly frame: Bytes;
}

/** A piece of a message. */
export interface PieceRow {
  readonly connection: string;
  /** The inbound route's ID. */
  readonly route: string;
  readonly tag: string;
  /** Its index in the message. */
  readonly position: number;
  readonly data: Bytes;
  readonly piece: Bytes;
}

/** Seals a session; without its keys when they have not changed. */
export async function sealSession(
  { connection, session: { keys, ratchet, ...data }, withKeys }: {
    readonly connection: string;
    readonly session: Session;
    readonly withKeys: boolean;
  },
  vault: Vault,
): Promise<SessionRow<Bytes | null>> {
  const row = { connection };
  const state = ratchet === null ? new Uint8Array() : await encodeRatchetState(ratchet);
  return {
    ...row,
    keys: withKeys ? await sealRecord(vault, keys, placeIn("sessions", "keys", row)) : null,
    ratchet: await vault.seal(state, placeIn("sessions", "ratchet", row)),
    data: await sealRecord(vault, data, placeIn("sessions", "data", row)),
  };
}

/** Opens a session. Throws `StoreError` (`READ`) when its ratchet is damaged. */
export async function openSession({ connection, ...row }: SessionRow, vault: Vault): Promise<Session> {
  const place = (column: string) => placeIn("sessions", column, { connection });
  const state = await vault.open(row.ratchet, place("ratchet"));
  const ratchet = state.length === 0 ? null : await decodeRatchetState(state);
  if (state.length > 0 && ratchet === null) throw changedError();
  return {
    keys: await openRecord<Session["keys"]>(vault, row.keys, place("keys")),
    ratchet,
    ...await openRecord<Omit<Session, "keys" | "ratchet">>(vault, row.data, place("data")),
  };
}

/** Seals a frame. */
export async function sealFrame(
  { connection, number, frame, message, ...data }: FrameRecord,
  vault: Vault,
): Promise<FrameRow> {
  const row = { connection, number };
  return {
    ...row,
    data: await sealRecord(vault, data, placeIn("frames", "data", row)),
    frame: await vault.seal(frame, placeIn("frames", "frame", row)),
    message: await vault.seal(message, placeIn("frames", "message", row)),
  };
}

/** Opens a frame. */
export async function openFrame(row: FrameRow, vault: Vault): Promise<FrameRecord> {
  const key = { connection: row.connection, number: row.number };
  type Rest = Omit<FrameRecord, keyof FrameRow>;
  return {
    ...key,
    ...await openRecord<Rest>(vault, row.data, placeIn("frames", "data", key)),
    frame: await vault.open(row.frame, placeIn("frames", "frame", key)),
    message: await vault.open(row.message, placeIn("frames", "message", key)),
  };
}

/** Seals a frame that is held. */
export async function sealHeld(
  { connection, number, frame, ...data }: HeldFrame,
  vault: Vault,
): Promise<HeldRow> {
  const row = { connection, number };
  return {
    ...row,
    data: await sealRecord(vault, data, placeIn("held_frames", "data", row)),
    frame: await vault.seal(frame, placeIn("held_frames", "frame", row)),
  };
}

/** Opens a frame that is held. */
export async function openHeld(row: HeldRow, vault: Vault): Promise<HeldFrame> {
  const key = { connection: row.connection, number: row.number };
  type Rest = Omit<HeldFrame, keyof HeldRow>;
  return {
    ...key,
    ...await openRecord<Rest>(vault, row.data, placeIn("held_frames", "data", key)),
    frame: await vault.open(row.frame, placeIn("held_frames", "frame", key)),
  };
}

/** Seals a piece. */
export async function sealPiece(
  { connection, route, tag, index, piece, ...data }: PieceRecord,
  vault: Vault,
): Promise<PieceRow> {
  const row = { connection, route, tag, position: index };
  return {
    ...row,
    data: await sealRecord(vault, data, placeIn("pieces", "data", row)),
    piece: await vault.seal(piece, placeIn("pieces", "piece", row)),
  };
}

/** Opens a piece. */
export async function openPiece(row: PieceRow, vault: Vault): Promise<PieceRecord> {
  const { connection, route, tag, position } = row;
  const key = { connection, route, tag, position };
  type Rest = Omit<PieceRecord, "connection" | "route" | "tag" | "index" | "piece">;
  return {
    connection,
    route,
    tag,
    index: position,
    ...await openRecord<Rest>(vault, row.data, placeIn("pieces", "data", key)),
    piece: await vault.open(row.piece, placeIn("pieces", "piece", key)),
  };
}

/** The order in which pieces are read: by the time of the first piece of their message, then route, tag and index. */
export function comparePieces(a: PieceRecord, b: PieceRecord): number {
  return a.since - b.since || compare(a.route, b.route) || compare(a.tag, b.tag) || a.index - b.index;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
