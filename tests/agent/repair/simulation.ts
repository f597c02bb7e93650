import type { Connection } from "../../../agent/mod.ts";
import { newSession, withSession, withSessionKeys } from "../../../agent/session/session.ts";
import { knownKinds } from "../../../agent/session/ready.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { Random } from "../model/random.ts";
import { inboundRoute, outboundRoute } from "../session/scenes.ts";
import {
  type Backup,
  Death,
  type Queue,
  type Sent,
  SimulatedSide,
  withoutDigests,
} from "./simulated_side.ts";

/** What a simulation may be told. */
export interface SimulationOptions {
  /** Routes of each side. @default 1 */
  readonly routes?: 1 | 2;
  /** Who is restored. @default both */
  readonly restores?: "one" | "both";
  /** Whether the sides are of a version that tells digests. @default true */
  readonly digests?: boolean;
  /** What is done by chance. @default 120 */
  readonly steps?: number;
}

const hour = 3_600_000;
const active = { reply: true, receiving: "none", sending: "none", connected: true } as const;

/** Two sides with a session do what a seed says, without clocks and sockets. Throws when one does what it must not. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<void> {
  const random = new Random(seed, "simulated");
  const clock = { now: 1_700_000_000_000 };
  const log: string[] = [];
  const { digests: tellsDigests = true } = options;
  const [alice, bob] = ["alice", "bob"].map((name) =>
    new SimulatedSide(name, { random, clock, tellsDigests })
  ) as [SimulatedSide, SimulatedSide];
  const sides = [alice, bob];
  await connect(alice, bob, { seed, routes: options.routes ?? 1 });
  const queues = [...alice.inbound, ...bob.inbound];
  const backups = new Map<SimulatedSide, Backup>();
  const restorable = options.restores === "one" ? [random.pick(sides)!] : sides;
  let number = 0;
  const living = async (side: SimulatedSide, act: () => Promise<unknown>) => {
    try {
      if (!side.isAlive) await side.start();
      await act();
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      log.push(`${side.name} dies`);
    }
  };
  const send = (side: SimulatedSide, text: string) => {
    log.push(`${side.name} sends ${text}`);
    return side.send(text);
  };
  try {
    for (let step = 0; step < (options.steps ?? 120); step++) {
      const side = random.pick(sides)!, chance = random.next();
      clock.now += random.below(2000);
      if (chance < 0.6) {
        const times = 1 + random.below(6);
        for (let i = 0; i < times && (side.isAlive || i === 0); i++) {
          await living(side, () => side.doSomething());
        }
      } else if (chance < 0.74) await living(side, () => send(side, `${side.name[0]}${++number}`));
      else if (chance < 0.8) {
        log.push(`${side.name} stops`);
        side.stop();
      } else if (chance < 0.84) side.lives = 1 + random.below(6);
      else if (chance < 0.9) {
        const queue = random.pick(queues)!;
        log.push(`${queue.isCut ? "mend" : "cut"} ${queue.id}`);
        turn(sides, queue);
      } else if (chance < 0.93) {
        clock.now += random.pick([0.1, 1.1, 3])! * hour;
        if (side.isAlive) await living(side, () => side.look());
      } else {
        const chosen = random.pick(restorable)!, backup = backups.get(chosen);
        if (backup === undefined) {
          log.push(`${chosen.name} is backed up`);
          backups.set(chosen, await chosen.backup());
        } else {
          log.push(`${chosen.name} is restored`);
          await chosen.restore(backup);
          if (random.chance(0.7)) backups.delete(chosen);
        }
      }
    }
    log.push("rest");
    for (const queue of queues) if (queue.isCut) turn(sides, queue);
    for (const side of sides) {
      side.lives = Infinity;
      if (random.chance(0.5)) side.stop();
      if (!side.isAlive) await side.start();
    }
    for (const round of [1, 2]) {
      for (const side of sides) await send(side, `${side.name[0]}end${round}`);
      await rest(sides, queues, clock);
    }
    await check(alice, bob, options.restores === "one");
    await check(bob, alice, options.restores === "one");
  } catch (error) {
    const states = sides.map(({ name, sent, everHad, lostHad, security }) =>
      `${name} ${JSON.stringify({ sent, had: [...everHad], lost: [...lostHad], security })}`
    );
    const text = error instanceof Error ? error.stack : String(error);
    throw new Error(`seed ${seed}: ${text}\n${states.join("\n")}\n${log.join(", ")}`);
  }
}

/** A server can be reached from now on, or not: who sends there notices. */
function turn(sides: readonly SimulatedSide[], queue: Queue): void {
  queue.isCut = !queue.isCut;
  if (queue.isCut) return;
  for (const side of sides) if (side.outbound.includes(queue)) side.lostConnection(queue.id);
}

async function connect(
  alice: SimulatedSide,
  bob: SimulatedSide,
  { seed, routes }: { readonly seed: number; readonly routes: number },
): Promise<void> {
  const { joiner, initiator } = await newSessions(seed + 1);
  const repairKey = new Uint8Array(32).fill(7);
  const queuesTo = (name: string): Queue[] =>
    Array.from({ length: routes }, (_, i) => ({ id: `${name}${i}`, packets: [], isCut: false }));
  const [toAlice, toBob] = [queuesTo("a"), queuesTo("b")];
  const one = { upTo: 1, ranges: [] };
  const numbers = { lastNumber: 1, lastEncrypted: 1, lastTaken: 1, receipted: one, stored: one };
  for (
    const { side, other, session, role, inbound, outbound } of [
      { side: alice, other: bob, session: initiator, role: "initiator", inbound: toAlice, outbound: toBob },
      { side: bob, other: alice, session: joiner, role: "joiner", inbound: toBob, outbound: toAlice },
    ] as const
  ) {
    const empty: Connection = {
      ...connectionIn({ role, ...active }),
      session: newSession({}),
      inbound: inbound.map(({ id }) => inboundRoute(id)),
      outbound: outbound.map(({ id }) => outboundRoute(id, { cursor: 1 })),
    };
    const { record } = empty;
    const whole = withSessionKeys(
      withSession(empty, { status: "active", ratchet: session.state, ...numbers }),
      { kinds: knownKinds, repairKey, safetyCode: "first" },
    );
    const { session: begun } = side.tellsDigests ? whole : withoutDigests(whole);
    await side.store.commit([
      { type: "put connection", record },
      { type: "put session", connection: record.id, session: begun!, withKeys: true },
      ...whole.inbound.map((route) =>
        ({ type: "put inbound", connection: record.id, route, withKeys: true }) as const
      ),
      ...whole.outbound.map((route) =>
        ({ type: "put outbound", connection: record.id, route, withKeys: true }) as const
      ),
    ]);
    side.inbound = inbound;
    side.outbound = outbound;
    side.other = other;
  }
}

/** Waits until each side has all of the other's, and knows it; hours go by when nothing goes on. */
async function rest(
  sides: readonly SimulatedSide[],
  queues: readonly Queue[],
  clock: { now: number },
): Promise<void> {
  for (let jumps = 0; jumps < 40; jumps++) {
    for (let i = 0, isBusy = true; isBusy; i++) {
      if (i > 2000) throw new Error("it does not become silent");
      isBusy = false;
      clock.now += 50;
      for (const side of sides) isBusy = await side.doSomething() || isBusy;
    }
    const why = unrest(sides, queues);
    if (why === null) return;
    if (jumps === 39) throw new Error(`no rest: ${why}`);
    clock.now += jumps % 8 < 4 ? 10_000 : jumps % 8 < 7 ? 1.1 * hour : 25 * hour;
    for (const side of sides) await side.look();
  }
}

function unrest(sides: readonly SimulatedSide[], queues: readonly Queue[]): string | null {
  const codes = new Set<string>();
  for (const side of sides) {
    const { receipted, lastNumber, receiptDue, keys } = side.connection.session!;
    codes.add(keys.safetyCode ?? "");
    if (receipted.upTo !== lastNumber) return `${side.name} has frames without receipt`;
    if (receiptDue) return `${side.name} owes a receipt`;
    const last = side.sent.at(-1)!.text;
    if (!side.other.everHad.has(last)) return `${last} has not come`;
  }
  if (codes.size > 1) return "safety codes differ";
  const waiting = queues.find(({ packets }) => packets.length > 0);
  return waiting === undefined ? null : `packets wait at ${waiting.id}`;
}

/** What a side has sent, as the other has it. */
async function check(from: SimulatedSide, to: SimulatedSide, isOne: boolean): Promise<void> {
  if (from.lies.length > 0) throw new Error(`told ${from.name} that these were delivered: ${from.lies}`);
  const came = await to.came();
  if (new Set(came).size !== came.length) throw new Error(`twice: ${came}`);
  const untold = came.filter((text) => !to.everHad.has(text));
  if (untold.length > 0) throw new Error(`not told: ${untold}`);
  const isFree = ({ text, duty }: Sent) => duty === "may" || to.lostHad.has(text);
  const missing = from.sent.filter((sent) => !isFree(sent) && !came.includes(sent.text));
  if (missing.length > 0) {
    throw new Error(`${from.name}'s ${missing.map(({ text }) => text)} have not come: ${came}`);
  }
  for (const duty of isOne ? ["must", "may"] as const : ["must"] as const) {
    const right = from.sent.filter((sent) => sent.duty === duty && came.includes(sent.text))
      .map(({ text }) => text);
    const early = untoldJump(right, came, await to.flagged());
    if (early !== null) throw new Error(`${from.name}'s came in another order, ${early} too early: ${came}`);
  }
}

/**
 * The first message that came before one that was sent earlier, and of which nobody was told so. What was held of another
 * life, or under a number that this one has given anew, is told before what that sends again: it says that something is
 * missing before it, as does the first one of several.
 */
function untoldJump(
  sent: readonly string[],
  came: readonly string[],
  flagged: ReadonlySet<string>,
): string | null {
  for (const [i, later] of sent.entries()) {
    const until = came.indexOf(later);
    const before = came.slice(0, until);
    const start = before.findLastIndex((text) => sent.indexOf(text) >= 0 && sent.indexOf(text) < i) + 1;
    const jump = before.findIndex((text, at) => at >= start && sent.indexOf(text) > i);
    if (jump < 0) continue;
    if (!before.slice(start, jump + 1).some((text) => flagged.has(text))) return before[jump]!;
  }
  return null;
}
