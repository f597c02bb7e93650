import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeRatchetState, headerLength, ratchetDecrypt } from "../../../protocol/mod.ts";
import { newSides, Side } from "../../support/ratchet.ts";

const permissions = "none";

/** Has `side` refuse changed messages, look whether it stays as it was, and then read the true one. */
async function refusesAll(
  side: Side,
  message: Uint8Array<ArrayBuffer>,
  changed: Iterable<Uint8Array<ArrayBuffer>>,
) {
  const before = await encodeRatchetState(side.state);
  const codes = new Map<string, number>();
  for (const wrong of changed) {
    const decrypted = await ratchetDecrypt(side.state, wrong, 0);
    assert(!decrypted.ok);
    assertEquals(Object.keys(decrypted).sort(), ["code", "ok"]);
    codes.set(decrypted.code, (codes.get(decrypted.code) ?? 0) + 1);
  }
  assertEquals(await encodeRatchetState(side.state), before);
  assertEquals((await ratchetDecrypt(side.state, message, 0)).ok, true);
  return Object.fromEntries(codes);
}

function* flipped(message: Uint8Array<ArrayBuffer>, bits: (at: number) => readonly number[]) {
  for (let at = 0; at < message.length; at++) {
    for (const bit of bits(at)) yield message.with(at, message[at]! ^ (1 << bit));
  }
}

function* truncated(message: Uint8Array<ArrayBuffer>) {
  for (let length = 0; length < message.length; length++) yield message.slice(0, length);
}

const all = [0, 1, 2, 3, 4, 5, 6, 7];
/** All bits, but one of each byte of the ML-KEM key and ciphertext, of which there are two thousand. */
const mostBits = (at: number) => at < 65 || at >= headerLength ? all : [at % 8];

Deno.test(
  "A bit that is flipped anywhere in a message that begins a chain refuses it",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const message = await joiner.send("first");
    // All bits where that costs no step, one of each byte elsewhere.
    const codes = await refusesAll(initiator, message, flipped(message, (at) => at < 9 ? all : [at % 8]));
    assertEquals([codes.VERSION, codes.SESSION], [8, 64]);
  },
);

Deno.test("A bit that is flipped anywhere in a later message refuses it", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const first = await joiner.send("first");
  await initiator.receive(first);
  const message = await joiner.send("second");
  const codes = await refusesAll(initiator, message, flipped(message, mostBits));
  // Other versions; chains that nobody expects; numbers far away and the one before.
  assertEquals([codes.VERSION, codes.SESSION], [8, 64]);
  assertEquals(codes.UNEXPECTED_CHAIN, 32 * 8);
  assertEquals(codes.FAR, 32 - 11);
  assertEquals(codes.USED, 1);
});

Deno.test(
  "A bit that is flipped anywhere in a message that came late refuses it",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const first = await joiner.send("first");
    const late = await joiner.send("late");
    await initiator.receive(first);
    await initiator.receive(await joiner.send("third"));
    await refusesAll(initiator, late, flipped(late, mostBits));
  },
);

Deno.test(
  "A side with an older state is known by the length of the chain that it ends",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    await initiator.receive(await joiner.send("first"));
    const answer = await initiator.send("answer");
    const older = new Side(joiner.state);
    for (const text of ["second", "third"]) {
      assertEquals(await initiator.receive(await joiner.send(text)), text);
    }
    await older.send("other second");
    await older.receive(answer);
    const ends = await older.send("ends the chain");
    assertEquals(await initiator.receive(ends), "REWOUND");
    // Which changes nothing: the one that knows all goes on.
    await joiner.receive(answer);
    assertEquals(await initiator.receive(await joiner.send("goes on")), "goes on");
  },
);

Deno.test("A message that is cut off at any length is refused", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const first = await joiner.send("first message");
  await refusesAll(initiator, first, truncated(first));
  await initiator.receive(first);
  const second = await joiner.send("second message");
  await refusesAll(initiator, second, truncated(second));
  const longer = new Uint8Array(second.length + 1);
  longer.set(second);
  await refusesAll(initiator, second, [longer]);
});

Deno.test(
  "Any bytes are refused with a code, behind a header of the session too",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const message = await joiner.send("first");
    const before = await encodeRatchetState(initiator.state);
    const start = fc.constantFrom(0, 1, 9, 25, 57, 65);
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 2600, size: "max" }), async (start, bytes) => {
        const wrong = new Uint8Array(start + bytes.length);
        wrong.set(message.subarray(0, start));
        wrong.set(bytes, start);
        const decrypted = await ratchetDecrypt(initiator.state, wrong, 0);
        assert(!decrypted.ok && /^[A-Z_]+$/.test(decrypted.code));
      }),
      { numRuns: 500 },
    );
    assertEquals(await encodeRatchetState(initiator.state), before);
    assertEquals(await initiator.receive(message), "first");
  },
);

Deno.test("A header of one message with the ciphertext of another is refused", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const one = await joiner.send("one"), two = await joiner.send("two");
  const mixed = one.slice();
  mixed.set(two.subarray(-19), one.length - 19);
  assertEquals(await initiator.receive(mixed), "DAMAGED");
  assertEquals([await initiator.receive(two), await initiator.receive(one)], ["two", "one"]);
});
