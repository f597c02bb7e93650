import { assert, assertEquals } from "@std/assert";
import { repairedEvent } from "../../../agent/runtime/repaired.ts";
import { planOf, restOf } from "../../../agent/runtime/repair_numbers.ts";
import { difference, union } from "../../../agent/session/number_set.ts";
import { withSession } from "../../../agent/session/session.ts";
import type { AgentStore, FrameRecord } from "../../../agent/store/store.ts";
import { encodeFrame, type NumberSet } from "../../../protocol/mod.ts";
import { repairingSides } from "../../support/repairing.ts";

const none = { upTo: 0, ranges: [] };

/** A store of frames, which are messages. */
function storeOf(numbers: readonly number[]): AgentStore {
  const frames = numbers.map((number, i): FrameRecord => ({
    connection: "",
    number,
    messageId: 0,
    message: new Uint8Array(0),
    createdAt: 1,
    frame: encodeFrame({
      kind: "message",
      number,
      time: 1,
      userNumber: i + 1,
      previousHash: new Uint8Array(32),
      body: Uint8Array.of(i),
    }),
  }));
  const store: Pick<AgentStore, "frames" | "message" | "undelivered" | "held"> = {
    frames: (_, after, limit) =>
      Promise.resolve(frames.filter(({ number }) => number > after).slice(0, limit)),
    message: () => Promise.resolve(null),
    undelivered: () => Promise.resolve([]),
    held: () => Promise.resolve(null),
  };
  return store as AgentStore;
}

/** The numbers for which the other side waits when it had some, and those that this side will send. */
async function afterRepair({ receipted, numbers, stored }: {
  readonly receipted: NumberSet;
  readonly numbers: readonly number[];
  readonly stored: NumberSet;
}) {
  const store = storeOf(numbers);
  const lastNumber = numbers.at(-1)!;
  const { joiner } = await repairingSides();
  const connection = withSession(joiner.connection, { receipted, lastNumber, lastEncrypted: receipted.upTo });
  const greatest = stored.ranges.at(-1)?.[1] ?? stored.upTo;
  const account = { stored, greatest, last: { id: 0, hash: new Uint8Array(32) } };
  const plan = await planOf({ store }, connection, account);
  const rest = restOf(connection.session!, plan);
  const { renumbered, taken, numbers: { lastNumber: last } } = await repairedEvent(
    { store, now: () => 1, allowUnverified: true },
    connection,
    {
      begun: { ratchet: connection.session!.ratchet!, safetyCode: "" },
      plan,
      account,
      rest: { receipted: none, kept: 0, next: 0 },
      stage: null,
    },
  ) as Extract<Awaited<ReturnType<typeof repairedEvent>>, { readonly type: "repaired" }>;
  const gone = { upTo: 0, ranges: rest.next > rest.kept ? [[rest.kept + 1, rest.next] as const] : [] };
  const has = union(union(stored, rest.receipted), gone);
  const waited = difference({ upTo: last, ranges: [] }, has).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)
  );
  const left = numbers.filter((number) =>
    !taken.some((frame) => frame.number === number) && !renumbered.some(({ from }) => from === number)
  );
  return { waited, sent: [...left, ...renumbered.map(({ frame }) => frame.number)], renumbered };
}

Deno.test("a side waits for nothing that is gone, though the other one has left out more than it can tell", async () => {
  // A repair before this one, of which the other side knows nothing, has left out numbers up to 1100.
  const { waited, sent, renumbered } = await afterRepair({
    receipted: { upTo: 9, ranges: [[11, 1100]] },
    numbers: [10, 1101, 1102],
    stored: { upTo: 9, ranges: [] },
  });
  assertEquals(waited, sent);
  assertEquals(sent.length, 3);
  assert(renumbered.every(({ from, frame }) => frame.number >= from));
});

Deno.test("what the other side holds has the number that it had", async () => {
  const { waited, sent, renumbered } = await afterRepair({
    receipted: { upTo: 9, ranges: [[11, 20]] },
    numbers: [10, 21, 22, 23],
    stored: { upTo: 9, ranges: [[11, 20], [22, 22]] },
  });
  assertEquals([waited, sent, renumbered], [[10, 21, 23], [10, 21, 23], []]);
});
