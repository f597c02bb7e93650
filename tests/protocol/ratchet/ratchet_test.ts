import { assert, assertEquals } from "@std/assert";
import { confirmChain, encodeRatchetState, longHeaderLength, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSides, seededRandom } from "../../support/ratchet.ts";

const permissions = "none";
const tag = 16;

Deno.test(
  "The initiator sends nothing before it has decrypted a message of the joiner",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    assertEquals(await ratchetEncrypt(initiator.state, new Uint8Array(1)), { ok: false, code: "NOT_READY" });
    assertEquals(await initiator.receive(await joiner.send("ready")), "ready");
    assertEquals(await joiner.receive(await initiator.send("ready too")), "ready too");
  },
);

Deno.test("A chain goes on until the other side has answered; the first answer begins a new one", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  const keys: string[] = [];
  const say = async (from: typeof joiner, to: typeof joiner, text: string) => {
    const message = await from.send(text);
    keys.push(message.subarray(25, 57).toHex());
    assertEquals(await to.receive(message), text);
  };
  await say(joiner, initiator, "1");
  await say(joiner, initiator, "2");
  await say(initiator, joiner, "3");
  await say(initiator, joiner, "4");
  await say(joiner, initiator, "5");
  assertEquals(keys[0], keys[1]);
  assertEquals(keys[2], keys[3]);
  assertEquals(new Set(keys).size, 3);
});

Deno.test(
  "A delayed message of an old chain does not let its receiver step again",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const late = await joiner.send("late");
    await initiator.receive(await joiner.send("first"));
    const first = await initiator.send("one");
    assertEquals(await initiator.receive(late), "late");
    const second = await initiator.send("two");
    assertEquals(second.subarray(25, 57), first.subarray(25, 57));
    assertEquals(await joiner.receive(second), "two");
    assertEquals(await joiner.receive(first), "one");
  },
);

Deno.test(
  "Headers say the number in the chain and the length of the one before",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const numbers = (message: Uint8Array) => {
      const view = new DataView(message.buffer, message.byteOffset);
      return [view.getUint32(57), view.getUint32(61)];
    };
    const first = [await joiner.send("a"), await joiner.send("b"), await joiner.send("c")];
    assertEquals(first.map(numbers), [[0, 0], [0, 1], [0, 2]]);
    await initiator.receive(first[2]!);
    const answer = await initiator.send("d");
    assertEquals(numbers(answer), [0, 0]);
    await joiner.receive(answer);
    assertEquals(numbers(await joiner.send("e")), [3, 0]);
  },
);

// SESSION_BYTES: form 1 only when the other side has shown that it knows the chain
Deno.test(
  "Headers are short once the other side has receipted a message of the chain",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const first = await joiner.send("first");
    assertEquals(first.length, longHeaderLength + "first".length + tag);
    assertEquals([first[0], longHeaderLength], [0, 2337]);
    joiner.state = confirmChain(joiner.state, first.slice(0, 65));
    const second = await joiner.send("second"), third = await joiner.send("third");
    assertEquals([second[0], second.length], [1, 65 + "second".length + tag]);
    // It comes after the chain is known, or it cannot be read: that is what the receipt was for.
    assertEquals(await initiator.receive(third), "UNKNOWN_CHAIN");
    assertEquals(await initiator.receive(first), "first");
    assertEquals(await initiator.receive(third), "third");
    assertEquals(await initiator.receive(second), "second");
  },
);

Deno.test("A receipt for another chain or session changes nothing", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const other = await newSides(2);
  const old = await joiner.send("old");
  await initiator.receive(old);
  const answer = await initiator.send("answer");
  await joiner.receive(answer);
  assertEquals(confirmChain(joiner.state, old), joiner.state);
  await joiner.send("new");
  for (const message of [old, answer, await other.joiner.send("x"), new Uint8Array(56), new Uint8Array(0)]) {
    assert(confirmChain(joiner.state, message) === joiner.state);
  }
});

Deno.test("The same randomness gives the same messages and states", { permissions }, async () => {
  const run = async () => {
    const random = seededRandom(7);
    const { joiner, initiator } = await newSides();
    const there = await joiner.send("there", random);
    await initiator.receive(there);
    const back = await initiator.send("back", random);
    await joiner.receive(back);
    const states = [await encodeRatchetState(joiner.state), await encodeRatchetState(initiator.state)];
    return [there, back, ...states].map((bytes) => bytes.toHex());
  };
  assertEquals(await run(), await run());
});

Deno.test("A rolled-back state that encrypts again uses another key and nonce", { permissions }, async () => {
  const { joiner } = await newSides();
  await joiner.send("begin");
  const before = joiner.state;
  const one = await joiner.send("same text");
  joiner.state = before;
  const other = await joiner.send("same text");
  assert(one.subarray(-25).toHex() !== other.subarray(-25).toHex());
  assertEquals(one.subarray(57, 65), other.subarray(57, 65));
});
