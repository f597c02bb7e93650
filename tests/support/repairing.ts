import { MemoryStore } from "../../agent/mod.ts";
import type { ConnectionEvent } from "../../agent/core/types.ts";
import { beginRepair, hearRepair, switching } from "../../agent/runtime/repairs.ts";
import { repaired, repairSaid } from "../../agent/session/repair.ts";
import { repairOf, type UnansweredRepair, unansweredRepair } from "../../agent/session/repair_state.ts";
import { newSession, withSession } from "../../agent/session/session.ts";
import type { Connection, RepairStage, Session } from "../../agent/store/store.ts";
import { padRepair } from "../../protocol/mod.ts";
import { connectionIn } from "../agent/core/scenes.ts";
import { newSessions } from "./ratchet.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const active = { reply: true, receiving: "active", sending: "active", connected: true } as const;

/** One side of a session that is to be repaired, without servers, with a clock of its own. */
export class RepairingSide {
  connection: Connection;
  readonly store = new MemoryStore();
  now: number;

  constructor(connection: Connection, now: number) {
    this.connection = connection;
    this.now = now;
  }

  get session(): Session {
    return this.connection.session!;
  }

  /** How many messages it could not decrypt. */
  set undecrypted(undecrypted: number) {
    this.connection = withSession(this.connection, { undecrypted });
  }

  get stage(): RepairStage["type"] | null {
    return repairOf(this.session).stage?.type ?? null;
  }

  /** What it says, until that is answered. */
  get said(): Bytes | null {
    return unansweredRepair(this.session)?.said ?? null;
  }

  /** Begins when that may be, or anew; gives what it says then. */
  begin(isForced = false): Promise<Bytes | null> {
    return this.beginInsteadOf(isForced ? unansweredRepair(this.session) : null);
  }

  /** Begins anew if that is still what it has said. */
  async beginInsteadOf(stage: UnansweredRepair | null): Promise<Bytes | null> {
    return this.#happen(await beginRepair(this.#context, this.connection, stage));
  }

  /** Hears a packet; gives what it says then, `null` when that is nothing. */
  async hear(bytes: Bytes): Promise<Bytes | null> {
    const content = padRepair({ bytes }, 4096).slice(1);
    return this.#happen(await hearRepair(this.#context, this.connection, content));
  }

  /** The initiator has decrypted a message of the new session. */
  async switch(): Promise<void> {
    this.#happen(await switching(this.#context, this.connection));
  }

  get #context() {
    return { store: this.store, now: () => this.now, allowUnverified: true };
  }

  #happen(event: ConnectionEvent | null): Bytes | null {
    const context = { now: this.now, announced: [], discardUntil: 0 };
    if (event?.type === "repaired") this.connection = repaired(this.connection, event, context).connection;
    if (event?.type !== "repair said") return null;
    this.connection = repairSaid(this.connection, event).connection;
    return this.said;
  }
}

/** Both sides of a session. */
export async function repairingSides(now = 1_000_000_000): Promise<{
  readonly joiner: RepairingSide;
  readonly initiator: RepairingSide;
}> {
  const { joiner, initiator } = await newSessions();
  const repairKey = new Uint8Array(32).fill(7);
  const side = (role: "joiner" | "initiator", { state }: typeof joiner) => {
    const session = newSession({});
    const connection = withSession(
      { ...connectionIn({ role, ...active }), session: { ...session, keys: { ...session.keys, repairKey } } },
      { status: "active", ratchet: state },
    );
    return new RepairingSide(connection, now);
  };
  return { joiner: side("joiner", joiner), initiator: side("initiator", initiator) };
}
