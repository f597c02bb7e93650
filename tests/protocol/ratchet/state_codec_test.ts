import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { sha256 } from "../../../protocol/crypto/runtime.ts";
import {
  decodeRatchetState,
  encodeRatchetState,
  joinParts,
  mostKnownChains,
  mostSkipped,
  type RatchetState,
} from "../../../protocol/mod.ts";
import { newSides } from "../../support/ratchet.ts";

const permissions = "none";

/** States of every form. */
async function someStates(): Promise<Record<string, RatchetState>> {
  const { joiner, initiator } = await newSides();
  const states: Record<string, RatchetState> = { joinerFirst: joiner.state, initiatorFirst: initiator.state };
  await joiner.send("late");
  const message = await joiner.send("message");
  states.sending = joiner.state;
  await initiator.receive(message, 1_700_000_000_000);
  states.skipped = initiator.state;
  for (let i = 0; i < 3; i++) {
    await joiner.receive(await initiator.send("a"), 5);
    await joiner.send("lost");
    await initiator.receive(await joiner.send("b"), 6);
  }
  states.later = initiator.state;
  return states;
}

/** Bytes of the memory that each array has a part of. */
function memoryOf(value: unknown): number[] {
  if (value instanceof Uint8Array) return [value.buffer.byteLength];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(memoryOf) : [];
}

/** Sets the check of a changed state right. */
async function withCheck(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const content = bytes.slice(0, -8);
  return joinParts([content, (await sha256(content)).subarray(0, 8)]);
}

Deno.test("A state of every form is read as it was written", { permissions }, async () => {
  const states = await someStates();
  assertEquals(states.later!.skipped.length, 4);
  for (const [name, state] of Object.entries(states)) {
    assertEquals(await decodeRatchetState(await encodeRatchetState(state)), state, name);
  }
});

Deno.test("A state that was read holds no memory beyond its own parts", { permissions }, async () => {
  for (const state of Object.values(await someStates())) {
    const entry = { dh: state.ownKey, number: 0, key: state.rootKey, at: 0 };
    const encoded = await encodeRatchetState({ ...state, skipped: new Array(mostSkipped).fill(entry) });
    const memory = memoryOf(await decodeRatchetState(encoded));
    // The largest part is an ML-KEM private key.
    assert(memory.every((bytes) => bytes <= 2400), `${Math.max(...memory)} bytes`);
  }
});

Deno.test(
  "A state is small: below 5 KiB, and 42 bytes for each skipped key of a chain",
  { permissions },
  async () => {
    const states = await someStates();
    const known = Array.from({ length: mostKnownChains }, (_, i) => new Uint8Array(32).fill(i));
    for (const state of Object.values(states)) {
      const size = (await encodeRatchetState({ ...state, known, skipped: [] })).length;
      assert(size <= 5 * 1024, `${size} bytes`);
    }
    const [entry] = states.skipped!.skipped;
    const skipped = Array.from({ length: mostSkipped }, (_, number) => ({ ...entry!, number }));
    const full = { ...states.skipped!, skipped };
    const encoded = await encodeRatchetState(full);
    assertEquals(
      encoded.length - (await encodeRatchetState({ ...full, skipped: [] })).length,
      34 + mostSkipped * 42,
    );
    assertEquals(await decodeRatchetState(encoded), full);
    const apart = skipped.map((entry, i) => ({ ...entry, dh: entry.dh.with(0, i % 256) }));
    assertEquals(await decodeRatchetState(await encodeRatchetState({ ...full, skipped: apart })), {
      ...full,
      skipped: apart,
    });
  },
);

Deno.test(
  "A state that was damaged anywhere, cut off or made longer is not read",
  { permissions },
  async () => {
    for (const state of Object.values(await someStates())) {
      const bytes = await encodeRatchetState(state);
      for (let at = 0; at < bytes.length; at++) {
        assertEquals(await decodeRatchetState(bytes.with(at, bytes[at]! ^ (1 << (at % 8)))), null);
      }
      for (let length = 0; length < bytes.length; length += 7) {
        assertEquals(await decodeRatchetState(bytes.slice(0, length)), null);
      }
      assertEquals(await decodeRatchetState(joinParts([bytes, new Uint8Array(1)])), null);
    }
    assertEquals(await decodeRatchetState(new Uint8Array(1_000_000)), null);
  },
);

Deno.test("Every field of a state is checked, with the check right too", { permissions }, async () => {
  const states = await someStates();
  const turnAt = 101;
  for (const state of Object.values(states)) {
    const bytes = await encodeRatchetState(state);
    for (const [at, value] of [[0, 2], [turnAt, 3], [turnAt, 255]] as const) {
      assertEquals(await decodeRatchetState(await withCheck(bytes.with(at, value))), null);
    }
    for (let cut = 1; cut < 40; cut++) {
      const shorter = await withCheck(bytes.slice(0, -cut));
      assertEquals(await decodeRatchetState(shorter), null, `${cut}`);
    }
  }
  const sending = await encodeRatchetState(states.sending!);
  const receivingAt = turnAt + 1 + 2464 + 32 + 4 + 1088;
  for (const at of [receivingAt, receivingAt + 1]) {
    assertEquals(await decodeRatchetState(await withCheck(sending.with(at, 33))), null);
  }
});

Deno.test("Any bytes are a state or none", { permissions }, async () => {
  const states = await Promise.all(Object.values(await someStates()).map(encodeRatchetState));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...states),
      fc.array(fc.tuple(fc.nat(8000), fc.nat(255)), { minLength: 1, maxLength: 5 }),
      fc.nat(200),
      async (state, changes, cut) => {
        const changed = state.slice(0, state.length - (cut > 100 ? cut : 0));
        for (const [at, byte] of changes) changed[at % changed.length] = byte;
        const decoded = await decodeRatchetState(await withCheck(changed));
        // What is taken is complete, so that it can be written again.
        if (decoded !== null) assert((await encodeRatchetState(decoded)).length > 0);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("A state that cannot be is not written", { permissions }, async () => {
  const { later } = await someStates();
  const short = new Uint8Array(31);
  for (const wrong of [{ rootKey: short }, { transcript: short }, { ownKey: short }, { previous: -1 }]) {
    await assertRejects(() => encodeRatchetState({ ...later!, ...wrong }), RangeError);
  }
});
