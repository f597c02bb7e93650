import type { MemoryStore } from "../../../agent/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { CutProxy } from "../../support/cut_proxy.ts";
import { dyingStore } from "../../support/dying_store.ts";
import { connected, connectedOver, copyOf } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";
import { Random } from "../model/random.ts";
import { type Backup, copiedStore, type Sent, Side, stateOf } from "./model_side.ts";

/** A server that can be cut off. */
interface Place {
  readonly server: SmpServer;
  readonly proxy: CutProxy;
  readonly address: string;
  isCut: boolean;
}

/** What a run may be told. */
export interface RunOptions {
  /** How many routes each side has, each by a server of its own. @default 1 */
  readonly routes?: 1 | 2;
  /** @default 25 */
  readonly steps?: number;
  /** Milliseconds for which nothing may go on at the end. @default 1200 */
  readonly quiet?: number;
  /** Who is restored, and how often. @default once */
  readonly restores?: "once" | "both";
  /** What goes on when a backup is made. @default nothing */
  readonly during?: "nothing" | "upgrade" | "rotation";
  /** Whether clocks are set, forward and back. @default false */
  readonly clocks?: boolean;
}

/** Milliseconds in which a connection goes on, or its sides were told that it does not. */
const longest = 45_000;
const hour = 3_600_000;

/** Changes of a store until a connection has a session whose first routes are replaced, about. */
const mostUpgradeCommits = 30;

/** Where two sides are that have a server each. */
function betweenTwo(alice: Place, bob: Place): Parameters<typeof connected> {
  return [{ alice: alice.server, bob: bob.server }, {
    ports: { alice: alice.proxy.port, bob: bob.proxy.port },
  }];
}

/** Two sides do what a seed says, and are restored. Throws when one does what it must not. */
export async function run(seed: number, options: RunOptions = {}): Promise<void> {
  // What chance says in a step depends on nothing that has happened.
  let random = new Random(seed, "restored");
  const log: string[] = [];
  await using stack = new AsyncDisposableStack();
  const count = options.routes ?? 1;
  const places: Place[] = [];
  for (let i = 0; i < 2 * count; i++) {
    const server = stack.use(await startServer());
    const proxy = stack.use(new CutProxy(server.port));
    const address = server.address.replace(`:${server.port}`, `:${proxy.port}`);
    places.push({ server, proxy, address, isCut: false });
  }
  const addresses = places.map(({ address }) => address);
  const own = { alice: addresses.slice(0, count), bob: addresses.slice(count) };
  const { restores = "once", during = "nothing", clocks = false } = options;
  const named = random.pick(["alice", "bob"] as const)!;
  const copies: MemoryStore[] = [];
  const commits = during === "upgrade" ? 1 + random.below(mostUpgradeCommits) : Infinity;
  const connect = () =>
    connectedOver(own, { ...count > 1 && { routes: 2 } }, (name, store) => (
      name === named ? copiedStore(store, { commits, copied: (copy) => copies.push(copy) }) : store
    ));
  const [alices, bobs] = places;
  const isReady = count === 1 && during !== "upgrade";
  const pair = await (isReady ? connected(...betweenTwo(alices!, bobs!)) : connect());
  await until(() =>
    [pair.alice, pair.bob].every(({ agent, other }) => {
      const { receiving, sending } = agent.agent.connection(other).session!.servers;
      return receiving.length === count && sending.length === count;
    })
  );
  await pair.alice.send("first");
  await pair.bob.send("first");
  await pair.alice.agent.next("delivered");
  await pair.bob.agent.next("delivered");
  await pair.alice.stop();
  await pair.bob.stop();
  const alice = new Side("alice", own.alice, pair.alice.store),
    bob = new Side("bob", own.bob, pair.bob.store);
  alice.other = bob;
  bob.other = alice;
  const sides = [alice, bob];
  stack.defer(async () => {
    for (const { proxy } of places) proxy.mend();
    await Promise.all(sides.map((side) => side.stop()));
  });
  for (const side of sides) await side.start();
  const restored = named === "alice" ? alice : bob;
  const backups = new Map<Side, Backup>();
  for (const store of copies) {
    if ((await store.connections()).length === 0) continue;
    backups.set(restored, { store, texts: new Map(), sent: [], had: new Set() });
    log.push(`${named} was backed up after ${commits}`);
  }
  const steps = options.steps ?? 25;
  const restoresAt = 5 + random.below(steps - 8);
  let number = 0;
  const say = (line: string) => log.push(line);
  const send = async (side: Side) => {
    const times = 1 + random.below(3);
    for (let i = 0; i < times; i++) {
      const text = `${side.name[0]}${++number}`;
      say(`${side.name} sends ${text}`);
      await side.send(text);
    }
  };
  const restart = async (side: Side) => {
    await side.stop();
    await side.start();
  };
  const backUp = async (side: Side) => {
    if (during === "rotation" && side.isAlive) {
      const rotating = sides.filter((side) => side.isAlive && random.chance(0.7));
      say(`${rotating.map(({ name }) => name)} rotate`);
      await Promise.all(rotating.map((side) => side.rotate()));
      await pause(random.below(60));
    }
    say(`${side.name} is backed up`);
    if (side.isDead) await side.stop();
    backups.set(side, await side.backup());
  };
  const restore = async (side: Side, backup: Backup) => {
    say(`${side.name} is restored`);
    await side.stop();
    const isKept = restores === "both" && random.chance(0.3);
    await side.restored(isKept ? { ...backup, store: await copyOf(backup.store) } : backup);
    if (!isKept) backups.delete(side);
    if (random.chance(0.8)) await side.start();
  };
  const die = async (side: Side) => {
    const commits = random.below(12), isAfter = random.chance(0.5);
    say(`${side.name} dies after ${commits} ${isAfter}`);
    await side.stop();
    await side.start(dyingStore(side.store, { commits, isAfter, died: () => side.isDead = true }))
      .catch(() => {});
    if (random.chance(0.8) && side.isAlive) await send(side);
  };
  const setClock = (side: Side) => {
    side.ahead += random.pick([-30, -5, -1, 0.5, 2, 30])! * hour;
    say(`${side.name}'s clock is ${side.ahead / hour} h ahead`);
  };
  try {
    for (let step = 0; step < steps; step++) {
      random = new Random(seed, `step ${step}`);
      if (random.chance(0.5)) await pause(random.below(80));
      const side = random.pick(sides)!;
      if (side.isDead) {
        say(`${side.name} has died`);
        await side.stop();
        side.isDead = false;
      }
      const isOnce = restores === "once", due = isOnce ? restored : side, backup = backups.get(due);
      if (backup !== undefined && (isOnce ? step >= restoresAt : random.chance(0.2))) {
        await restore(due, backup);
        continue;
      }
      const action = random.next();
      const mayBackUp = backup === undefined && (!isOnce || step < restoresAt);
      if (mayBackUp && during !== "upgrade" && (random.chance(0.25) || isOnce && step === restoresAt - 1)) {
        await backUp(due);
      } else if (action < 0.4) {
        if (!side.isAlive) await side.start();
        await send(side);
      } else if (action < 0.5) {
        say(`${side.name} ${side.isAlive ? "stops" : "starts"}`);
        await (side.isAlive ? side.stop() : side.start());
      } else if (action < 0.6) {
        say(`${side.name} lives shortly`);
        await restart(side);
        if (random.chance(0.7)) await send(side);
        if (random.chance(0.5)) await pause(random.below(40));
        await side.stop();
      } else if (action < 0.7) {
        const dying = restores === "both" && random.chance(0.5) ? sides : [side];
        await Promise.all(dying.map(die));
      } else if (action < 0.85) {
        const at = random.below(places.length), place = places[at]!;
        say(`${place.isCut ? "mend" : "cut"} ${at}`);
        if (place.isCut) place.proxy.mend();
        else place.proxy.cut();
        place.isCut = !place.isCut;
      } else if (clocks && random.chance(0.7)) setClock(side);
      else await pause(random.below(300));
    }
    say("rest");
    for (const { proxy } of places) proxy.mend();
    for (const side of sides) {
      if (side.isDead || side.isMortal || random.chance(0.3)) await side.stop();
      side.isDead = false;
      if (!side.isAlive) await side.start();
    }
    const isWhole = await end(sides, places, options);
    if (isWhole) await silence(places, options.quiet ?? 1200);
    for (const side of sides) await check(side, side.other, { isWhole, isOnce: restores === "once" });
  } catch (error) {
    const states = await Promise.all(sides.map(stateOf));
    const text = error instanceof Error ? error.stack : String(error);
    throw new Error(`seed ${seed}: ${text}\n${states.join("\n")}\n${log.join(", ")}`);
  }
}

/**
 * The sides send their last messages, one after the other or both, until all has come; `false`: the routes are others than
 * in a backup, so that it cannot, of which the restored side was told.
 */
async function end(
  sides: readonly Side[],
  places: readonly Place[],
  { during = "nothing", restores = "once", clocks = false }: RunOptions,
): Promise<boolean> {
  for (const round of [1, 2]) {
    for (const side of sides) await side.send(`${side.name[0]}end${round}`);
    // What was sent before a repair may stay `sent` for ever, where the other side has lost something.
    const isHurried = restores === "both" || clocks, isToldDelivered = round === 2;
    const why = await rest(sides, places, { isHurried, isToldDelivered });
    if (why === null) continue;
    const isTold = sides.some(({ troubles }) => troubles.length > 0);
    if (during === "nothing" || !isTold) throw new Error(`no rest: ${why}`);
    return false;
  }
  return true;
}

interface Rest {
  /** Whether hours go by. */
  readonly isHurried: boolean;
  /** Whether the last message of each must be told as delivered. */
  readonly isToldDelivered: boolean;
}

/** Waits until each side has all of the other's, and knows it; tells what does not become so. */
async function rest(
  sides: readonly Side[],
  places: readonly Place[],
  { isHurried, isToldDelivered }: Rest,
): Promise<string | null> {
  const began = performance.now();
  for (let jumps = 1;;) {
    const why = await unrest(sides, places, isToldDelivered), took = performance.now() - began;
    if (why === null || took > longest) return why;
    // A session is repaired once an hour at most, and what leads to nothing is given up after a day.
    if (isHurried && took > 3_000 * jumps) {
      for (const side of sides) side.ahead += (jumps > 3 ? 25 : 1.1) * hour;
      jumps++;
    }
    await pause(10);
  }
}

async function unrest(
  sides: readonly Side[],
  places: readonly Place[],
  isToldDelivered: boolean,
): Promise<string | null> {
  const codes = new Set<string>();
  for (const side of sides) {
    const { record: { id }, session } = await side.connection();
    if (session === null) return `${side.name} has no session`;
    const { receipted, lastNumber, receiptDue, keys } = session;
    codes.add(keys.safetyCode ?? "");
    if (receipted.upTo !== lastNumber) return `${side.name} has frames without receipt`;
    if ((await side.store.frames(id, 0, 1)).length > 0) return `${side.name} keeps frames`;
    if (receiptDue) return `${side.name} owes a receipt`;
    const last = side.sent.at(-1)!.text;
    if (!side.other.had.has(last)) return `${last} has not come`;
    if (isToldDelivered && !side.delivered.some(({ text }) => text === last)) {
      return `${side.name} does not know that ${last} has come`;
    }
  }
  if (codes.size > 1) return "safety codes differ";
  const waiting = places.findIndex(({ server }) => server.gauges().messages > 0);
  return waiting >= 0 ? `messages wait at ${waiting}` : null;
}

/** Nothing is sent while nobody sends anything. */
async function silence(places: readonly Place[], time: number): Promise<void> {
  await pause(1500);
  const count = () => places.map(({ server }) => server.metrics.messagesAccepted);
  const before = count();
  await pause(time);
  if (JSON.stringify(before) !== JSON.stringify(count())) throw new Error("it does not become silent");
}

/** How a run has ended: whether all could come, and whether only one side was restored. */
interface End {
  readonly isWhole: boolean;
  readonly isOnce: boolean;
}

/** What a side has sent, as the other has it. */
async function check(from: Side, to: Side, { isWhole, isOnce }: End): Promise<void> {
  const { record: { id } } = await to.connection();
  const messages = await to.store.messages(id, { limit: 1000 });
  const came = messages.filter(({ received }) => received !== null)
    .map(({ body }) => new TextDecoder().decode(body)).filter((text) => text !== "first");
  if (new Set(came).size !== came.length) throw new Error(`twice: ${came}`);
  const untold = came.filter((text) => !to.everHad.has(text));
  if (untold.length > 0) throw new Error(`not told: ${untold}`);
  const isFree = ({ text, duty }: Sent) => duty === "may" || to.lostHad.has(text) || !isWhole;
  const isSilent = to.troubles.length + to.security.length === 0;
  // What neither database knows of any more nobody can tell.
  const isKnown = (text: string) => from.sent.some((sent) => sent.text === text && sent.duty === "must");
  const lost = [...to.lostHad].filter((text) => isKnown(text) && !came.includes(text));
  if (isWhole && isSilent && lost.length > 0) throw new Error(`${to.name} was not told that it lost ${lost}`);
  const missing = from.sent.filter((sent) => !isFree(sent) && !came.includes(sent.text));
  if (missing.length > 0) {
    throw new Error(`${from.name}'s ${missing.map(({ text }) => text)} have not come: ${came}`);
  }
  // What was held of a life that is forgotten on both sides may be told before what that sends again, and says so.
  for (const duty of isOnce ? ["must", "may"] as const : ["must"] as const) {
    const some = from.sent.filter((sent) => sent.duty === duty).map(({ text }) => text);
    const right = some.filter((text) => came.includes(text)),
      got = came.filter((text) => right.includes(text));
    if (right.join() !== got.join()) throw new Error(`${from.name}'s came in another order: ${came}`);
  }
  const lies = from.delivered.filter(({ isTrue }) => !isTrue);
  if (lies.length > 0) {
    throw new Error(`told ${from.name} that these were delivered: ${JSON.stringify(lies)}`);
  }
}

function pause(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time));
}
