import { assert, assertEquals } from "@std/assert";
import { dyingStore } from "../../support/dying_store.ts";
import { connected, reasonsOf, type Restorable, talk, textsOf, untilText } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { together } from "../../support/together.ts";
import { until } from "../../support/wait.ts";

/**
 * Of the changes of a store one in so many is tried, others each time. Every one, in some minutes:
 * `deno test -A tests/agent/repair/interrupted_test.ts -- --every-step`
 */
const stride = Deno.args.includes("--every-step") ? 1 : 8;
const seed = Math.floor(Math.random() * stride);

/** Changes of a store until the repair is done and messages have come, about. */
const mostCommits = 24;

/** Pairs that are repaired at once: most of the time they wait. */
const atOnce = 4;

interface Interruption {
  readonly restored: "alice" | "bob";
  readonly dies: "alice" | "bob";
  readonly commits: number;
  readonly isAfter: boolean;
}

/** The texts of a side's lives before, which were told and perhaps not taken. */
const lived = new WeakMap<Restorable, string[]>();

/** Those that were told of a repair. */
const repaired = new WeakSet<Restorable>();

async function end(side: Restorable): Promise<void> {
  if (reasonsOf(side).includes("session repaired")) repaired.add(side);
  lived.set(side, [...lived.get(side) ?? [], ...textsOf(side)]);
  await side.stop();
}

/** Texts without what is wrong with them, each once: what was told and not taken is told again. */
function all(side: Restorable): string[] {
  return [...new Set([...lived.get(side) ?? [], ...textsOf(side)].map((text) => text.split(" ")[0]!))];
}

/** Repairs while the program of one side ends after some changes of its store; whether it came to that. */
async function interrupted(how: Interruption): Promise<boolean> {
  await using server = await startServer();
  const pair = await connected(server);
  await using alice = pair.alice;
  await using bob = pair.bob;
  const [restored, dying] = [pair[how.restored], pair[how.dies]];
  await talk(alice, bob, "1");
  const backup = await restored.backup();
  await talk(alice, bob, "2");
  await end(restored);
  let isDead = false;
  const store = dying === restored ? backup : dying.store;
  const mortal = dyingStore(store, { ...how, died: () => isDead = true });
  if (dying !== restored) await end(dying);
  await dying.start(store, mortal).catch(() => {});
  if (dying !== restored) await restored.start(backup);
  const sent = new Map<Restorable, string[]>([[alice, []], [bob, []]]);
  const sendSome = async (side: Restorable) => {
    for (let i = 0; i < 3; i++) {
      const text = `${side === alice ? "a" : "b"}${i}`;
      // Who is told that it could not be stored knows that.
      await side.send(text).then(() => sent.get(side)!.push(text), () => {});
    }
  };
  await Promise.all([sendSome(alice), sendSome(bob)]);
  const hasCome = () =>
    sent.get(alice)!.every((text) => all(bob).includes(text)) &&
    sent.get(bob)!.every((text) => all(alice).includes(text));
  await until(() => isDead || hasCome());
  const wasDead = isDead;
  await end(dying);
  await dying.start(store);
  await until(hasCome);
  for (const side of [alice, bob]) {
    const other = side === alice ? bob : alice;
    await side.send("last");
    await untilText(other, "last");
    const came = all(other).filter((text) => text.startsWith(side === alice ? "a" : "b"));
    const isSent = (text: string) => sent.get(side)!.includes(text);
    assertEquals(came.filter(isSent), sent.get(side), JSON.stringify(how));
    // It was stored when the program ended, and nobody was told.
    assert(came.filter((text) => !isSent(text)).length <= 1, JSON.stringify(how));
  }
  await until(() => alice.agent.agent.safetyCode("bob") === bob.agent.agent.safetyCode("alice"));
  assert(wasDead || repaired.has(restored) || reasonsOf(restored).includes("session repaired"));
  return wasDead;
}

for (const restored of ["alice", "bob"] as const) {
  for (const dies of ["alice", "bob"] as const) {
    const role = restored === "alice" ? "initiator" : "joiner";
    const whose = restored === dies ? "its own program" : "the other side's program";
    Deno.test(`the repair of a restored ${role} goes on when ${whose} ends at any change of its store`, async () => {
      let deaths = 0;
      const all = Array.from({ length: mostCommits }, (_, commits) => commits)
        .filter((commits) => commits % stride === seed);
      for (let at = 0; at < all.length; at += atOnce) {
        await together(all.slice(at, at + atOnce), async (commits) => {
          const isAfter = Math.random() < 0.5;
          if (await interrupted({ restored, dies, commits, isAfter })) deaths++;
        });
      }
      assert(deaths > 0);
    });
  }
}
