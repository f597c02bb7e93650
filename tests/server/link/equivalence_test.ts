import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { fakeSigner, fakeVerify, type TestConnection, type TestQueue } from "../../support/broker.ts";
import { type LinkedBroker, linkedBroker } from "../../support/link.ts";

const commands = [
  "SUB",
  "KEY",
  "ACK",
  "OFF",
  "DEL",
  "SEND",
  "SUBN 2",
  "ACKM",
  "OPEN",
  "OPEN sender",
  "leave",
];
const signers = { recipient: fakeSigner(), sender: fakeSigner() };
const limits = checkLimits({ messagesPerQueue: 6, openedPerConnection: 2 });
const broker = { authorizer: new Authorizer(fakeVerify), limits: () => limits };

const step = fc.record({
  place: fc.nat({ max: 2 }),
  queue: fc.nat({ max: 1 }),
  command: fc.constantFrom(...commands),
  by: fc.constantFrom<("usual" | "none" | "sender")[]>("usual", "usual", "none", "sender"),
});

/** Gives the commands one after the other; what each connection was sent, and what is known of it. */
async function run(
  linked: LinkedBroker,
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  connect: (place: number) => TestConnection,
): Promise<unknown[]> {
  const places = [connect(0), connect(1), connect(2)];
  const queues: TestQueue[] = [await places[0]!.create("a", signers), await places[1]!.create("b", signers)];
  const seen: unknown[] = [];
  let sent = 0;
  for (const { place, queue: index, command, by } of steps) {
    if (command === "leave") {
      places[place]!.disconnect();
      places[place] = connect(place);
      await linked.session.idle();
      continue;
    }
    const queue = queues[index]!;
    const isSender = command === "OPEN sender";
    // A session takes a command without a signature only where it may come without.
    const id = isSender || command === "SEND" ? queue.senderId : queue.recipientId;
    const isOpened = [linked.test.router, linked.session.remote].some((o) => o.isOpened(places[place]!, id));
    const mayBeUnsigned = command === "SEND" || isOpened && !command.startsWith("OPEN");
    const key = by === "sender" || isSender
      ? queue.sender
      : by === "none" && mayBeUnsigned
      ? null
      : undefined;
    const text = command === "SEND"
      ? `SEND m${sent++}`
      : command === "ACKM"
      ? `ACKM m${sent - 1}`
      : command.split(" sender")[0]!;
    await places[place]!.ask(queue, text, {
      ...(key !== undefined && { key }),
      ...(isSender && { queueId: queue.senderId }),
      corrId: `${command.split(" ")[0]}${place}`,
    }).then((texts) => seen.push(texts));
    await linked.session.idle();
    seen.push(places.map((connection) => connection.take()));
    seen.push(linked.test.brokers.counts, linked.test.brokers.opened);
  }
  return seen;
}

Deno.test("connections over links are sent the same as others, whatever commands are given", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (steps) => {
      await using local = await linkedBroker({ broker });
      await using remote = await linkedBroker({ broker });
      await using mixed = await linkedBroker({ broker });
      const expected = await run(local, steps, () => local.test.connect());
      assertEquals(await run(remote, steps, () => remote.session.connect()), expected);
      const connect = (place: number) => place === 1 ? mixed.test.connect() : mixed.session.connect();
      assertEquals(await run(mixed, steps, connect), expected);
    }),
    { numRuns: 60 },
  );
});
