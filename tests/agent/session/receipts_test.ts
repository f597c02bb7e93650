import { assert, assertEquals } from "@std/assert";
import { stepTo } from "../../../agent/core/types.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { EncryptedReceipt } from "../../../agent/runtime/frames.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { Receipts } from "../../../agent/runtime/receipts.ts";
import { withSession } from "../../../agent/session/session.ts";
import type { Connection } from "../../../agent/store/store.ts";
import { newSessions } from "../../support/ratchet.ts";
import { activeSession, inboundRoute, outboundRoute } from "./scenes.ts";

const permissions = "none";

/** Receipts of a connection with two ways to the other side, and what these are given. */
function start() {
  const routes = [outboundRoute("one"), outboundRoute("two")];
  let connection: Connection = withSession(
    activeSession({ inbound: [inboundRoute("in")], outbound: routes }),
    { receiptDue: true },
  );
  const { id } = connection.record;
  const given: { readonly route: string; readonly receipt: EncryptedReceipt; readonly taken: () => void }[] =
    [];
  const looked: string[] = [];
  const interpreter = {
    async do(_: string, happening: unknown) {
      const event = await (happening as (at: Connection) => Promise<{ ratchet: never } | null>)(connection);
      if (event === null) return null;
      connection = withSession(connection, { ratchet: event.ratchet });
      return stepTo(connection);
    },
  } as unknown as Interpreter;
  const receipts = new Receipts({
    context: { connections: { find: () => connection }, now: () => 0 } as unknown as AgentContext,
    interpreter,
    workers: { sendReceipt: (route, receipt, taken) => void given.push({ route, receipt, taken }) },
    look: (id) => void looked.push(id),
  });
  return {
    given,
    looked,
    send: () => receipts.send(id),
    /** Something more has come. */
    store: (upTo: number) => {
      connection = withSession(connection, { stored: { upTo, ranges: [] } });
    },
    change: (change: Partial<Connection>) => {
      connection = { ...connection, ...change };
    },
    /** How many keys of the ratchet's chain were used. */
    used() {
      const turn = connection.session!.ratchet!.turn;
      return turn.side === "other" ? turn.sending?.number ?? 0 : 0;
    },
  };
}

Deno.test(
  "while no route takes a receipt no other one is made, whatever comes",
  { permissions },
  async () => {
    const { given, looked, send, store, used } = start();
    for (let upTo = 1; upTo <= 50; upTo++) {
      store(upTo);
      await send();
    }
    assertEquals(new Set(given.map(({ receipt }) => receipt)).size, 1);
    const before = used();
    given[0]!.taken();
    // There is more to tell than was told.
    assertEquals(looked.length, 1);
    await send();
    assertEquals(given.at(-1)?.receipt.told.stored.upTo, 50);
    assertEquals(used(), before + 1);
    given.at(-1)!.taken();
    given[0]!.taken();
    assertEquals(looked.length, 1);
  },
);

Deno.test("a route that is added while a receipt waits gets it, too", { permissions }, async () => {
  const { given, send, change } = start();
  await send();
  change({ outbound: [outboundRoute("new")] });
  await send();
  assertEquals(given.map(({ route }) => route), ["one", "two", "new"]);
  assertEquals(new Set(given.map(({ receipt }) => receipt)).size, 1);
});

Deno.test(
  "a receipt of a former session does not hold up those of another one",
  { permissions },
  async () => {
    const { given, send, change } = start();
    await send();
    const { joiner: { state } } = await newSessions();
    const other = { ...state, transcript: new Uint8Array(32).fill(1) };
    const [{ receipt }] = given as [typeof given[0]];
    change({ session: { ...receipt.told, ratchet: other } });
    await send();
    assert(given.at(-1)!.receipt !== receipt);
  },
);
