import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { type IncomingPacket, openPackets } from "../../../agent/runtime/packets.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import type { InboundRoute } from "../../../agent/store/store.ts";
import { encodeFrame, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../store/samples.ts";

const day = 86_400_000;
const context = { store: new MemoryStore(), allowUnverified: true };
const active = { reply: true, receiving: "active", sending: "active", connected: true } as const;

/** What is said of messages that cannot be decrypted, taken by servers at these times, after one of 5000. */
function undecrypted(inbound: readonly InboundRoute[], ...times: readonly number[]): Promise<number> {
  return undecryptedAfter(5000, inbound, ...times);
}

/** The same, after one of another time. */
async function undecryptedAfter(
  first: number,
  inbound: readonly InboundRoute[],
  ...times: readonly number[]
): Promise<number> {
  const { joiner, initiator } = await newSessions();
  const connection = withSession(
    { ...connectionIn({ role: "initiator", ...active }), session: newSession({}), inbound },
    { status: "active", ratchet: initiator.state },
  );
  const made = await ratchetEncrypt(
    joiner.state,
    encodeFrame({ kind: "ready", kinds: [1], number: 1, time: 1 }),
  );
  assert(made.ok);
  const damaged = made.message.slice();
  // The key that names the chain.
  damaged[30]! ^= 1;
  const packet = (message: Uint8Array<ArrayBuffer>, serverAt: number): IncomingPacket => (
    { serverId: "AAAA", serverAt, packet: { type: "message", message } }
  );
  const incoming = [packet(made.message, first), ...times.map((time) => packet(damaged, time))];
  const opened = await openPackets(context, connection, { route: inbound[0]!.id, incoming, now: 6000 });
  assertEquals(opened.frames.length, 1);
  assertEquals(opened.unreadable, opened.undecrypted);
  return opened.undecrypted;
}

Deno.test("what another server has kept since before the last message is a copy, and no sign of a restored side", async () => {
  const [one, two] = [inboundRoute("one"), inboundRoute("two")];
  assertEquals(await undecrypted([one, two], 3000, 4000, 4999), 0);
  assertEquals(await undecrypted([one, two], 4000, 5000, 6000), 2);
});

Deno.test("what the server of the only route delivers again, as it was restored itself, is no sign either", async () => {
  const one = inboundRoute("one");
  assertEquals(await undecrypted([one], 3000, 4999), 0);
  assertEquals(await undecrypted([one], 5000, 6000), 2);
});

Deno.test("a server whose clock is far ahead hides no restored side for more than a day", async () => {
  const [one, two] = [inboundRoute("one"), inboundRoute("two")];
  for (const inbound of [[one], [one, two]]) {
    assertEquals(await undecryptedAfter(10 ** 13, inbound, 6000), 0);
    assertEquals(await undecryptedAfter(10 ** 13, inbound, 6000 + day, 7000 + day), 2);
  }
});
