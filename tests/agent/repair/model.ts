import type { SmpServer } from "../../../server/mod.ts";
import { CutProxy } from "../../support/cut_proxy.ts";
import { dyingStore } from "../../support/dying_store.ts";
import { connectedOver } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { patience, until } from "../../support/wait.ts";
import { Random } from "../model/random.ts";
import { type Backup, type Sent, Side, stateOf } from "./model_side.ts";

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
}

/** Two sides do what a seed says, one of which is restored once. Throws when one does what it must not. */
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
  const pair = await connectedOver(own, count > 1 ? { routes: 2 } : {});
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
  const restored = random.pick(sides)!;
  const steps = options.steps ?? 25;
  const restoresAt = 5 + random.below(steps - 8);
  let backup: Backup | null = null;
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
  const restore = async () => {
    if (backup === null) return;
    say(`${restored.name} is restored`);
    await restored.stop();
    restored.restored(backup);
    backup = null;
    if (random.chance(0.8)) await restored.start();
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
      if (step >= restoresAt && backup !== null) {
        await restore();
        continue;
      }
      const action = random.next();
      if (backup === null && step < restoresAt && (random.chance(0.25) || step === restoresAt - 1)) {
        say(`${restored.name} is backed up`);
        if (restored.isDead) await restored.stop();
        backup = await restored.backup();
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
        const commits = random.below(12), isAfter = random.chance(0.5);
        say(`${side.name} dies after ${commits} ${isAfter}`);
        await side.stop();
        await side.start(dyingStore(side.store, { commits, isAfter, died: () => side.isDead = true }))
          .catch(() => {});
        if (random.chance(0.8) && side.isAlive) await send(side);
      } else if (action < 0.85) {
        const at = random.below(places.length), place = places[at]!;
        say(`${place.isCut ? "mend" : "cut"} ${at}`);
        if (place.isCut) place.proxy.mend();
        else place.proxy.cut();
        place.isCut = !place.isCut;
      } else await pause(random.below(300));
    }
    say("rest");
    for (const { proxy } of places) proxy.mend();
    for (const side of sides) {
      if (side.isDead || side.isMortal || random.chance(0.3)) await side.stop();
      side.isDead = false;
      if (!side.isAlive) await side.start();
    }
    for (const round of [1, 2]) {
      for (const side of sides) await side.send(`${side.name[0]}end${round}`);
      await rest(sides, places);
    }
    await silence(places, options.quiet ?? 1200);
    await check(alice, bob, restored);
    await check(bob, alice, restored);
  } catch (error) {
    const states = await Promise.all(sides.map(stateOf));
    const text = error instanceof Error ? error.stack : String(error);
    throw new Error(`seed ${seed}: ${text}\n${states.join("\n")}\n${log.join(", ")}`);
  }
}

/** Waits until each side has all of the other's, and knows it. */
async function rest(sides: readonly Side[], places: readonly Place[]): Promise<void> {
  const end = performance.now() + patience;
  for (;;) {
    const why = await unrest(sides, places);
    if (why === null) return;
    if (performance.now() > end) throw new Error(`no rest: ${why}`);
    await pause(10);
  }
}

async function unrest(sides: readonly Side[], places: readonly Place[]): Promise<string | null> {
  const codes = new Set<string>();
  for (const side of sides) {
    const { record: { id }, session } = await side.connection();
    const { receipted, lastNumber, receiptDue, keys } = session!;
    codes.add(keys.safetyCode ?? "");
    if (receipted.upTo !== lastNumber) return `${side.name} has frames without receipt`;
    if ((await side.store.frames(id, 0, 1)).length > 0) return `${side.name} keeps frames`;
    if (receiptDue) return `${side.name} owes a receipt`;
    const last = side.sent.at(-1)!.text;
    if (!side.other.had.has(last)) return `${last} has not come`;
    if (!side.delivered.some(({ text }) => text === last)) {
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

/** What a side has sent, as the other has it. */
async function check(from: Side, to: Side, restored: Side): Promise<void> {
  const { record: { id } } = await to.connection();
  const messages = await to.store.messages(id, { limit: 1000 });
  const came = messages.filter(({ received }) => received !== null)
    .map(({ body }) => new TextDecoder().decode(body)).filter((text) => text !== "first");
  if (new Set(came).size !== came.length) throw new Error(`twice: ${came}`);
  const untold = came.filter((text) => !to.everHad.has(text));
  if (untold.length > 0) throw new Error(`not told: ${untold}`);
  const isFree = ({ text, duty }: Sent) => duty === "may" || to === restored && to.lostHad.has(text);
  const missing = from.sent.filter((sent) => !isFree(sent) && !came.includes(sent.text));
  if (missing.length > 0) {
    throw new Error(`${from.name}'s ${missing.map(({ text }) => text)} have not come: ${came}`);
  }
  for (const duty of ["must", "may"] as const) {
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
