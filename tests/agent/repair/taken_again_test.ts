import { assert, assertEquals } from "@std/assert";
import { answered, isInDoubt, started } from "../../../agent/session/fork.ts";
import { withSession } from "../../../agent/session/session.ts";
import { type RepairingSide, repairingSides } from "../../support/repairing.ts";

/** As it is when its agent is started again, on this database or on a backup of it. */
function start(side: RepairingSide): void {
  side.connection = started(side.connection);
}

/** Both sides, as far as `offered` and `answered`; both may be of a backup. */
async function agreed() {
  const { joiner, initiator } = await repairingSides();
  for (const side of [joiner, initiator]) {
    side.connection = withSession(side.connection, { lastNumber: 5, lastEncrypted: 5 });
  }
  start(joiner);
  start(initiator);
  const answer = await initiator.hear((await joiner.hear((await initiator.begin())!))!);
  start(joiner);
  start(initiator);
  return { joiner, initiator, answer: answer! };
}

Deno.test("what a joiner sends in a session that another life of it may have begun is in doubt until the other side answers it", async () => {
  const { joiner, answer } = await agreed();
  await joiner.hear(answer);
  assertEquals(joiner.stage, "begun");
  const { fork = null, lastNumber, ratchet } = joiner.session;
  assertEquals(fork?.number, 5);
  assert(isInDoubt({ ...joiner.session, lastNumber: lastNumber + 1 }));
  // Its first chain has a pair of its own.
  assertEquals(answered(fork, ratchet!.ownKey), fork);
  assertEquals(answered(fork, new Uint8Array(32).fill(1)), null);
});

Deno.test("what an initiator sends in a session that another life of it may have taken is in doubt, too", async () => {
  const { initiator } = await agreed();
  await initiator.switch();
  assertEquals(initiator.stage, null);
  const { fork = null, ratchet } = initiator.session;
  assertEquals(fork?.number, 5);
  assertEquals(answered(fork, ratchet!.ownKey), fork);
  assertEquals(answered(fork, new Uint8Array(32).fill(1)), null);
});

Deno.test("what gets new numbers by a repair is in doubt after the last old one", async () => {
  const { joiner, initiator } = await repairingSides();
  const lastSent = { id: 3, hash: new Uint8Array(32).fill(3) };
  start(joiner);
  joiner.connection = withSession(joiner.connection, { lastNumber: 5, lastEncrypted: 5 });
  // The initiator has what another life of the joiner has sent.
  initiator.connection = withSession(
    { ...initiator.connection, record: { ...initiator.connection.record, lastReceived: lastSent } },
    { stored: { upTo: 7, ranges: [] } },
  );
  const answer = await initiator.hear((await joiner.hear((await initiator.begin())!))!);
  start(joiner);
  await joiner.hear(answer!);
  const { fork } = joiner.session;
  assertEquals([fork?.number, fork?.lastSent], [1007, lastSent]);
});
