import { assertEquals } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import { Repetitions } from "../../../agent/runtime/repetitions.ts";
import { isGivenUp, isRepairDue } from "../../../agent/session/repair_state.ts";
import { withSession } from "../../../agent/session/session.ts";
import { type RepairingSide, repairingSides } from "../../support/repairing.ts";
import { until } from "../../support/wait.ts";

const day = 86_400_000, hour = 3_600_000;

/** What is done for a side that was started again, until it has done three things. */
async function afterStart(side: RepairingSide): Promise<string[]> {
  const done: string[] = [];
  const context = {
    connections: { find: () => side.connection },
    now: () => side.now,
    upgradeTimeout: 1,
    failed: (_: string, error: unknown) => done.push(String(error)),
  } as unknown as AgentContext;
  const interpreter = {
    sayAgain: () => Promise.resolve(),
    repair: () => Promise.resolve(void done.push("begins anew")),
  };
  await using repetitions = new Repetitions(context, interpreter, { say: () => done.push("says it again") });
  repetitions.resume(side.connection);
  await until(() => done.length >= 3);
  return done.slice(0, 3);
}

Deno.test("a side that is started again begins anew when nothing answers what it had begun, once", async () => {
  const { initiator, joiner } = await repairingSides();
  const ask = (await initiator.begin())!;
  await joiner.begin();
  const expected = ["says it again", "begins anew", "says it again"];
  assertEquals(await afterStart(initiator), expected);
  assertEquals(await afterStart(joiner), expected);
  // What was agreed on goes on, for a day.
  await joiner.hear(ask);
  for (const undecrypted of [0, 1]) {
    joiner.undecrypted = undecrypted;
    assertEquals(await afterStart(joiner), ["says it again", "says it again", "says it again"]);
  }
  joiner.now += day;
  assertEquals((await afterStart(joiner))[1], "begins anew");
  // It would believe no receipt for ever of another side that was restored to before all that.
  joiner.undecrypted = 0;
  assertEquals((await afterStart(joiner))[1], "begins anew");
});

Deno.test("a side of which the other one parted within the hour is repaired after it, also when nothing more comes", async () => {
  const { initiator, joiner } = await repairingSides();
  const ask = (await initiator.begin())!;
  await joiner.hear((await initiator.hear((await joiner.hear(ask))!))!);
  for (const sign of [{ parted: true }, { undecrypted: 1 }]) {
    const { parted = false, undecrypted = 0 } = sign;
    joiner.undecrypted = undecrypted;
    const connection = withSession(joiner.connection, { parted });
    assertEquals(isRepairDue(connection, joiner.now + day / 25), false);
    assertEquals(isRepairDue(connection, joiner.now + day / 24), true);
  }
  joiner.undecrypted = 0;
  assertEquals(isRepairDue(joiner.connection, joiner.now + day), false);
});

Deno.test("a call that the other side takes for an old one is made anew after an hour", async () => {
  const { initiator, joiner } = await repairingSides();
  const before = joiner.connection;
  await joiner.hear((await initiator.hear((await joiner.hear((await initiator.begin())!))!))!);
  await initiator.switch();
  assertEquals(initiator.stage, null);
  // The joiner is restored to before that, and its clock is behind.
  joiner.connection = before;
  initiator.now += hour;
  const call = (await joiner.begin())!;
  assertEquals(await initiator.hear(call), null);
  joiner.now += hour - 1;
  assertEquals(isGivenUp(joiner.session, joiner.now), false);
  joiner.now += 1;
  assertEquals(isGivenUp(joiner.session, joiner.now), true);
  await initiator.hear((await joiner.begin(true))!);
  assertEquals(initiator.stage, "asked");
});

Deno.test("a question that is made anew again and again is said ever more seldom", async () => {
  const { initiator } = await repairingSides();
  await initiator.begin();
  let questions = 0;
  const context = {
    connections: { find: () => initiator.connection },
    now: () => initiator.now,
    upgradeTimeout: 10,
    failed: () => {},
  } as unknown as AgentContext;
  const interpreter = {
    sayAgain: () => Promise.resolve(),
    repair: async () => {
      await initiator.begin(true);
      repetitions.look(initiator.connection);
      questions++;
    },
  };
  const repetitions = new Repetitions(context, interpreter, { say: () => {} });
  const planned: { readonly run: () => void; readonly delay: number }[] = [];
  const { setTimeout } = globalThis;
  globalThis.setTimeout = ((run: () => void, delay: number) => {
    planned.push({ run, delay });
    return 0;
  }) as typeof setTimeout;
  try {
    repetitions.look(initiator.connection);
    for (let said = 1; said <= 3; said++) {
      initiator.now += hour;
      planned.at(-1)!.run();
      while (questions < said) await new Promise((resolve) => setTimeout(resolve));
    }
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  await repetitions[Symbol.asyncDispose]();
  // Each has two: one as the old question, one as the new one.
  assertEquals(planned.map(({ delay }) => delay), [10, 20, 20, 40, 40, 80, 80]);
});
