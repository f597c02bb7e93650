import { assert, assertEquals } from "@std/assert";
import { encodeRatchetState, headerLength, ratchetEncrypt } from "../../../protocol/mod.ts";
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

// sessions.md Session cryptography: the same pair and ciphertext in every header of a chain
Deno.test("Every header of a chain has what a step takes", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const first = await joiner.send("first"), second = await joiner.send("second");
  assertEquals([first[0], headerLength], [0, 2337]);
  assertEquals(first.length, headerLength + "first".length + tag);
  assertEquals(second.subarray(25, 57), first.subarray(25, 57));
  assertEquals(second.subarray(65, headerLength), first.subarray(65, headerLength));
  assertEquals(await initiator.receive(second), "second");
  assertEquals(await initiator.receive(first), "first");
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
