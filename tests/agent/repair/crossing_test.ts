import { assert, assertEquals } from "@std/assert";
import { unansweredRepair } from "../../../agent/session/repair_state.ts";
import { type RepairingSide, repairingSides } from "../../support/repairing.ts";

const hour = 3_600_000;

/** Time goes on for both. */
function pass({ joiner, initiator }: Record<"joiner" | "initiator", RepairingSide>, by: number): void {
  joiner.now += by;
  initiator.now += by;
}

Deno.test("a call that crosses the question makes no other one, and the offer to it is answered", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  const call = (await joiner.begin())!;
  const ask = (await initiator.begin())!;
  pass(sides, 100);
  const offer = (await joiner.hear(ask))!;
  assertEquals(await initiator.hear(call), ask);
  const answer = (await initiator.hear(offer))!;
  assertEquals(initiator.stage, "answered");
  assertEquals(await joiner.hear(answer), null);
  assertEquals(joiner.stage, "begun");
});

Deno.test("sides that are never there at the same time, and begin anew each time, come to an end", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  let on: Uint8Array<ArrayBuffer>[] = [(await joiner.begin())!];
  for (let turn = 0; turn < 6 && joiner.stage !== "begun"; turn++) {
    pass(sides, hour);
    const side = turn % 2 === 0 ? initiator : joiner;
    // Something came before what the other side has said that cannot be decrypted.
    const said = [side === joiner ? await joiner.begin() : null];
    for (const one of on) said.push(await side.hear(one));
    on = said.filter((one) => one !== null);
  }
  assertEquals(joiner.stage, "begun");
});

Deno.test("a call that comes late leaves the answer to the offer that was made after it", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  const call = (await joiner.begin())!;
  const answer = (await initiator.hear((await joiner.hear((await initiator.begin())!))!))!;
  assertEquals(await initiator.hear(call), answer);
  assertEquals(initiator.stage, "answered");
  await joiner.hear(answer);
  assertEquals(joiner.stage, "begun");
});

Deno.test("a joiner that waits for no answer any more is asked anew", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  const ask = (await initiator.begin())!;
  await initiator.hear((await joiner.hear(ask))!);
  const call = (await joiner.begin(true))!;
  const again = await initiator.hear(call);
  assert(again !== null && initiator.stage === "asked");
  assert(await joiner.hear(again) !== null);
});

Deno.test("a call that is delivered long after the repair that it was for begins no other one", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  const call = (await joiner.begin())!;
  const ask = (await initiator.begin())!;
  await initiator.hear((await joiner.hear(ask))!);
  await initiator.switch();
  assertEquals(initiator.stage, null);
  pass(sides, 2 * hour);
  assertEquals(await initiator.hear(call), null);
  // One that the joiner makes now is heard.
  const anew = (await joiner.begin(true))!;
  assert(await initiator.hear(anew) !== null);
});

Deno.test("a side that is not answered begins nothing else, however long the other one is away", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  for (const side of [joiner, initiator]) assert(await side.begin() !== null);
  for (let i = 0; i < 3; i++) {
    pass(sides, hour);
    for (const side of [joiner, initiator]) assertEquals(await side.begin(), null);
  }
});

Deno.test("a side that is about to begin anew leaves what has gone on meanwhile", async () => {
  const { joiner, initiator } = await repairingSides();
  const ask = (await initiator.begin())!;
  const asked = unansweredRepair(initiator.session)!;
  const answer = (await initiator.hear((await joiner.hear(ask))!))!;
  assertEquals(await initiator.beginInsteadOf(asked), null);
  assertEquals(initiator.stage, "answered");
  await joiner.hear(answer);
  await initiator.switch();
  assertEquals(initiator.session.keys.safetyCode, joiner.session.keys.safetyCode);
});

Deno.test("a joiner that is alone with a new session answers who asks anew, within the hour too", async () => {
  const sides = await repairingSides();
  const { joiner, initiator } = sides;
  const answer = (await initiator.hear((await joiner.hear((await initiator.begin())!))!))!;
  await joiner.hear(answer);
  assertEquals(joiner.stage, "begun");
  pass(sides, 1000);
  // The initiator has lost its answer.
  const again = (await initiator.begin(true))!;
  const second = (await initiator.hear((await joiner.hear(again))!))!;
  await joiner.hear(second);
  await initiator.switch();
  assertEquals(initiator.session.keys.safetyCode, joiner.session.keys.safetyCode);
  // Nobody asks once both have it.
  pass(sides, 1000);
  assertEquals(await initiator.begin(), null);
});
