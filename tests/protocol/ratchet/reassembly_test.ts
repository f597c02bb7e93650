import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  addPiece,
  decodePacket,
  emptyReassembly,
  largestMessage,
  type MessagePiece,
  mostPieceBytes,
  mostUnfinished,
  pieceLifetime,
  type Reassembled,
  type Reassembly,
  splitMessage,
  withoutRoute,
} from "../../../protocol/mod.ts";
import { seededRandom } from "../../support/ratchet.ts";

const permissions = "none";

async function piecesOf(message: Uint8Array<ArrayBuffer>, blockSize = 4096): Promise<MessagePiece[]> {
  return (await splitMessage(message, blockSize)).map((packet) => {
    const decoded = decodePacket(packet);
    assert(decoded.ok && decoded.packet.type === "piece");
    return decoded.packet;
  });
}

/** A machine that remembers its state. */
class Machine {
  reassembly: Reassembly = emptyReassembly;

  async add(piece: MessagePiece, { route = "a", now = 0 } = {}): Promise<Reassembled> {
    const before = JSON.stringify(sizesOf(this.reassembly)), old = this.reassembly;
    const outcome = await addPiece(old, piece, { route, now });
    assertEquals(JSON.stringify(sizesOf(old)), before, "the state before is unchanged");
    this.reassembly = outcome.reassembly;
    const bytes = this.reassembly.unfinished.reduce((sum, message) => sum + message.bytes, 0);
    assert(bytes <= mostPieceBytes && this.reassembly.unfinished.length <= mostUnfinished);
    return outcome;
  }
}

function sizesOf({ unfinished }: Reassembly) {
  return unfinished.map((
    { missing, bytes, pieces },
  ) => [missing, bytes, pieces.map((piece) => piece?.length)]);
}

Deno.test(
  "Pieces of several messages make them in any order, with repetitions",
  { permissions },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 3618, max: 20_000 }), { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        fc.nat(),
        async (sizes, order, seed) => {
          const random = seededRandom(seed);
          const messages = sizes.map((size) => random(size));
          const left = (await Promise.all(messages.map((message) => piecesOf(message)))).flat();
          const machine = new Machine();
          const whole: string[] = [];
          while (left.length > 0) {
            const [piece] = left.splice(order.next().value! % left.length, 1);
            const outcome = await machine.add(piece!);
            assertEquals(outcome.dropped, []);
            if (outcome.type === "whole") whole.push(outcome.message.toHex());
            else {
              assertEquals(outcome.type, "kept");
              assertEquals((await machine.add(piece!)).type, "repeated");
            }
          }
          assertEquals(whole.sort(), messages.map((message) => message.toHex()).sort());
          assertEquals(machine.reassembly, emptyReassembly);
        },
      ),
      { numRuns: 30 },
    );
  },
);

Deno.test("A piece that contradicts what was said before is refused, and the message still comes", {
  permissions,
}, async () => {
  const machine = new Machine();
  const [first, second, third] = await piecesOf(new Uint8Array(10_000).fill(1));
  await machine.add(first!);
  const wrong = [
    { ...second!, count: 4 },
    { ...second!, total: 10_001 },
    { ...first!, piece: first!.piece.with(0, 2) },
    { ...first!, piece: first!.piece.slice(1) },
  ];
  for (const piece of wrong) {
    const outcome = await machine.add(piece);
    assert(outcome.type === "refused" && outcome.code === "CONTRADICTION");
  }
  await machine.add(second!);
  assertEquals((await machine.add(third!)).type, "whole");
});

Deno.test("Pieces that do not make the message of their tag are dropped", { permissions }, async () => {
  const machine = new Machine();
  const [first, second] = await piecesOf(new Uint8Array(5_000).fill(1));
  await machine.add({ ...first!, piece: first!.piece.with(7, 9) });
  const outcome = await machine.add(second!);
  assert(outcome.type === "refused" && outcome.code === "TAG");
  assertEquals(machine.reassembly, emptyReassembly);
  await machine.add(first!);
  assertEquals((await machine.add(second!)).type, "whole");
});

Deno.test("Pieces are kept for 7 days after the first", { permissions }, async () => {
  const machine = new Machine();
  const [first, second, third] = await piecesOf(new Uint8Array(10_000).fill(1));
  await machine.add(first!, { now: 1000 });
  assertEquals((await machine.add(second!, { now: 1000 + pieceLifetime })).dropped, []);
  const outcome = await machine.add(third!, { now: 1001 + pieceLifetime });
  assertEquals(outcome.type, "kept");
  assertEquals(outcome.dropped, [{ route: "a", tag: first!.tag, reason: "AGE" }]);
  assertEquals(machine.reassembly.unfinished[0]?.missing, 2);
});

Deno.test("Of 16 unfinished messages the oldest makes room for the next", { permissions }, async () => {
  const machine = new Machine();
  const random = seededRandom(4);
  const messages = await Promise.all(
    Array.from({ length: mostUnfinished + 1 }, () => piecesOf(random(4_000))),
  );
  for (const [first] of messages.slice(0, -1)) assertEquals((await machine.add(first!)).dropped, []);
  const { dropped } = await machine.add(messages.at(-1)![0]!);
  assertEquals(dropped, [{ route: "a", tag: messages[0]![0]!.tag, reason: "COUNT" }]);
  assertEquals((await machine.add(messages[1]![1]!)).type, "whole");
});

Deno.test(
  "Pieces have 8 MiB, of which two messages of the largest size always fit",
  { permissions },
  async () => {
    const machine = new Machine();
    const random = seededRandom(6);
    const large = await Promise.all([1, 2, 3].map(async (fill) => {
      const message = new Uint8Array(largestMessage).fill(fill);
      return await piecesOf(message, 65536);
    }));
    for (const pieces of large.slice(0, 2)) {
      for (const piece of pieces.slice(0, -1)) assertEquals((await machine.add(piece)).dropped, []);
    }
    const dropped = [];
    for (const piece of large[2]!.slice(0, -1)) dropped.push(...(await machine.add(piece)).dropped);
    assertEquals(dropped, [{ route: "a", tag: large[0]![0]!.tag, reason: "BYTES" }]);
    assertEquals((await machine.add((await piecesOf(random(4000)))[0]!)).dropped, []);
    for (const pieces of large.slice(1)) assertEquals((await machine.add(pieces.at(-1)!)).type, "whole");
  },
);

Deno.test(
  "A message on two routes has pieces on each; those of a route can be forgotten",
  { permissions },
  async () => {
    const machine = new Machine();
    const message = seededRandom(8)(20_000);
    const [small, large] = [await piecesOf(message), await piecesOf(message, 8192)];
    await machine.add(small[0]!);
    assertEquals((await machine.add(large[0]!, { route: "b" })).type, "kept");
    machine.reassembly = withoutRoute(machine.reassembly, "a");
    assertEquals(machine.reassembly.unfinished.map(({ route }) => route), ["b"]);
    await machine.add(large[1]!, { route: "b" });
    const outcome = await machine.add(large[2]!, { route: "b" });
    assert(outcome.type === "whole");
    assertEquals(outcome.message.toHex(), message.toHex());
  },
);
