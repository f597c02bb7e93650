import { assert, assertEquals } from "@std/assert";
import type { Connection } from "../../agent/mod.ts";
import { newSession, withSession, withSessionKeys } from "../../agent/session/session.ts";
import { knownKinds } from "../../agent/session/ready.ts";
import {
  encodePublicPair,
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  offerSession,
  packetLength,
} from "../../protocol/mod.ts";
import { connectionIn } from "../agent/core/scenes.ts";
import { Random } from "../agent/model/random.ts";
import { type Backup, type Queue, SimulatedSide } from "../agent/repair/simulated_side.ts";
import { inboundRoute, outboundRoute } from "../agent/session/scenes.ts";
// @ts-types="../peers/session.d.mts"
import * as peer from "../peers/session.mjs";
import { independentMlKem } from "../support/independent_ml_kem.ts";
import { seededRandom } from "../support/ratchet.ts";

// Digests of receipts and repairs of this project's agent with those of tests/peers/session_side.mjs.

const permissions = "none";
const hour = 3_600_000;
const active = { reply: true, receiving: "none", sending: "none", connected: true } as const;
type Role = "joiner" | "initiator";

/** An agent's side of a session, and one of the other implementation; `role`: of the agent. */
async function connect(seed: number, role: Role) {
  const random = seededRandom(seed + 1);
  const kit: peer.Kit = { mlKem: independentMlKem, random };
  const clock = { now: 1_700_000_000_000 };
  const joinerPair = await generateRatchetPair(random);
  const offer = (await offerSession(joinerPair, random))!;
  const transcript = random(32), repairKey = new Uint8Array(32).fill(7);
  const { pair, ciphertext } = offer;
  const session = role === "joiner"
    ? await joinerSession(joinerPair, { initiator: pair, ciphertext, transcript })
    : await initiatorSession(offer, { joiner: joinerPair, transcript });
  const theirRole = role === "joiner" ? "initiator" : "joiner";
  const [own, other] = theirRole === "joiner" ? [joinerPair, pair] : [pair, joinerPair];
  const ratchet = peer.startRatchet({
    ...{ role: theirRole, transcript, root: session!.state.rootKey, other: encodePublicPair(other) },
    pair: {
      ...{ dhPrivate: own.dhPrivate, kemSeed: own.kemPrivate, kemSecret: own.kemPrivate },
      public: encodePublicPair(own),
    },
  });
  const safetyCode = "of the first session";
  const theirs = new peer.SessionSide({ kit, role: theirRole, ratchet, repairKey, safetyCode, clock });

  const ours = new SimulatedSide("ours", { random: new Random(seed, "ours"), clock, tellsDigests: true });
  const one = { upTo: 1, ranges: [] };
  const numbers = { lastNumber: 1, lastEncrypted: 1, lastTaken: 1, receipted: one, stored: one };
  const [inbound, outbound] = ["in", "out"].map((id): Queue => ({ id, packets: [], isCut: false }));
  const empty: Connection = {
    ...connectionIn({ role, ...active }),
    session: newSession({}),
    inbound: [inboundRoute("in")],
    outbound: [outboundRoute("out", { cursor: 1 })],
  };
  const whole = withSessionKeys(
    withSession(empty, { status: "active", ratchet: session!.state, ...numbers }),
    { kinds: knownKinds, repairKey, safetyCode },
  );
  const { id } = whole.record;
  await ours.store.commit([
    { type: "put connection", record: whole.record },
    { type: "put session", connection: id, session: whole.session!, withKeys: true },
    { type: "put inbound", connection: id, route: whole.inbound[0]!, withKeys: true },
    { type: "put outbound", connection: id, route: whole.outbound[0]!, withKeys: true },
  ]);
  Object.assign(ours, { inbound: [inbound], outbound: [outbound], other: { everHad: new Set() } });
  await ours.start();
  return { ours, theirs, clock, inbound: inbound!, outbound: outbound! };
}

type Both = Awaited<ReturnType<typeof connect>>;

let packets = 0;

/** What the other implementation sends goes to the agent's server. */
function post({ theirs, inbound, clock }: Both): void {
  for (const packet of theirs.outbox.splice(0)) {
    const content = new Uint8Array(packetLength(4096) - 1);
    if (packet.type === "repair") content.set(packet.content);
    inbound.packets.push({
      packet: packet.type === "repair"
        ? { type: "repair", content }
        : { type: "message", message: new Uint8Array(packet.message) },
      id: `packet ${++packets}`,
      at: clock.now,
    });
  }
}

/** The other implementation does something, if it can. */
function take(both: Both): boolean {
  const { theirs, outbound } = both;
  const [taken] = outbound.packets.splice(0, 1);
  if (taken !== undefined) {
    const { packet } = taken;
    if (packet.type === "message") theirs.receive(packet);
    else if (packet.type === "repair") theirs.receive({ type: "repair", content: packet.content });
  }
  theirs.tell();
  const isBusy = taken !== undefined || theirs.outbox.length > 0;
  post(both);
  both.ours.other = { everHad: new Set(theirs.had) };
  return isBusy;
}

/** Both go on until each has all of the other's. */
async function rest(both: Both): Promise<void> {
  const { ours, theirs, clock } = both;
  for (let jumps = 0;; jumps++) {
    for (let isBusy = true; isBusy;) {
      clock.now += 50;
      isBusy = take(both);
      isBusy = await ours.doSomething() || isBusy;
    }
    const { receipted, lastNumber, keys: { safetyCode } } = ours.connection.session!;
    const isSame = safetyCode === theirs.safetyCode;
    if (receipted.upTo === lastNumber && theirs.isAtRest && isSame) return;
    if (jumps === 20) {
      throw new Error(`no rest: ${JSON.stringify([receipted, lastNumber, theirs.isAtRest, isSame])}`);
    }
    clock.now += jumps % 4 < 3 ? 0.6 * hour : 25 * hour;
    await ours.look();
    theirs.look();
    theirs.repeat();
    post(both);
  }
}

/** What the agent was told, and what it has told of its own messages. */
async function storyOf(ours: SimulatedSide) {
  const messages = await ours.store.messages(ours.connection.record.id, { limit: 1000 });
  const own = messages.filter(({ received }) => received === null);
  return {
    had: await ours.came(),
    delivered: own.filter(({ delivered }) => delivered).map(({ body }) => new TextDecoder().decode(body)),
  };
}

for (const role of ["joiner", "initiator"] as const) {
  Deno.test(
    `an agent that is the ${role} and the other implementation tell digests, lose packets, and repair nothing`,
    { permissions },
    async () => {
      const both = await connect(1, role);
      const { ours, theirs, inbound, outbound } = both;
      const random = new Random(1, "losses");
      const sent: string[] = [];
      for (let i = 0; i < 20; i++) {
        sent.push(`${i}`);
        await ours.send(`ours ${i}`);
        theirs.send(`theirs ${i}`);
        post(both);
        for (let turns = 0; turns < 4; turns++) {
          await ours.doSomething();
          take(both);
          for (const { packets } of [inbound, outbound]) {
            if (packets.length > 1 && random.chance(0.4)) packets.splice(random.below(packets.length), 1);
          }
        }
      }
      await rest(both);
      assertEquals(theirs.repairs, 0);
      assertEquals(ours.lies, []);
      assertEquals(theirs.had, sent.map((text) => `ours ${text}`));
      const { had, delivered } = await storyOf(ours);
      assertEquals(had, sent.map((text) => `theirs ${text}`));
      assertEquals([delivered, theirs.delivered], [theirs.had, had]);
    },
  );
}

/** Both send, and `restored` go back to a backup now and then; all is in order at the end. */
async function live(seed: number, role: Role, restored: readonly ("ours" | "theirs")[]): Promise<void> {
  const both = await connect(seed, role);
  const { ours, theirs, clock, inbound, outbound } = both;
  const random = new Random(seed, "lives");
  const sent = { ours: [] as string[], theirs: [] as string[] };
  const send = async (by: "ours" | "theirs", text: string) => {
    sent[by].push(text);
    if (by === "ours") await ours.send(text);
    else theirs.send(text);
  };
  let ourBackup: Backup | null = null, theirBackup: unknown = null;
  for (let step = 0; step < 60; step++) {
    clock.now += random.below(2000);
    const chance = random.next();
    if (chance < 0.5) await send(chance < 0.25 ? "ours" : "theirs", `${step}`);
    else if (chance < 0.6) {
      const { packets } = random.pick([inbound, outbound])!;
      if (packets.length > 0) packets.splice(random.below(packets.length), 1);
    } else if (chance < 0.65) {
      clock.now += 1.1 * hour;
      await ours.look();
      theirs.look();
    } else if (chance < 0.7 && restored.includes("ours")) {
      if (ourBackup !== null) {
        await ours.restore(ourBackup);
        await ours.start();
      } else ourBackup = await ours.backup();
    } else if (chance > 0.95 && restored.includes("theirs")) {
      if (theirBackup !== null) theirs.restore(theirBackup);
      else theirBackup = theirs.backup();
    }
    post(both);
    for (let turns = random.below(4); turns > 0; turns--) {
      await ours.doSomething();
      take(both);
    }
  }
  for (const round of [1, 2]) {
    for (const by of ["ours", "theirs"] as const) await send(by, `${by} end ${round}`);
    await rest(both);
  }
  assert(theirs.repairs > 0);
  const { had, delivered } = await storyOf(ours);
  assertEquals(had.length, new Set(had).size);
  assertEquals([...ours.lies, ...delivered.filter((text) => !theirs.had.includes(text))], []);
  const everHad = new Set([...had, ...ours.everHad, ...ours.lostHad]);
  assertEquals(theirs.delivered.filter((text) => !everHad.has(text)), []);
  // What a side that was not restored has sent comes, unless the other side has lost it with its database.
  if (!restored.includes("ours")) assertEquals(sent.ours.filter((text) => !theirs.came.has(text)), []);
  if (!restored.includes("theirs")) assertEquals(sent.theirs.filter((text) => !everHad.has(text)), []);
  for (const by of ["ours", "theirs"] as const) {
    const end = (by === "ours" ? theirs.had : had).filter((text) => text.includes("end"));
    assertEquals(end, [1, 2].map((round) => `${by} end ${round}`));
  }
}

for (const role of ["joiner", "initiator"] as const) {
  Deno.test(
    `an agent that is the ${role} and the other implementation repair their session, whoever is restored`,
    { permissions },
    async () => {
      await live(3, role, ["ours"]);
      await live(4, role, ["theirs"]);
      await live(7, role, ["ours", "theirs"]);
    },
  );
}
