import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { keyedCrypto } from "../../../protocol/crypto/runtime.ts";
import { messageKeyOf, messageSecrets, nextChainKey } from "../../../protocol/ratchet/kdf.ts";
import {
  decodeHeader,
  encodeRatchetState,
  headerLength,
  joinParts,
  ratchetDecrypt,
  type RatchetState,
} from "../../../protocol/mod.ts";
import { newSides, type Side } from "../../support/ratchet.ts";

const permissions = "none";

type Bytes = Uint8Array<ArrayBuffer>;

/** Whether a key opens a message. */
async function keyOpens(messageKey: Bytes, message: Bytes, transcript: Bytes): Promise<boolean> {
  const decoded = decodeHeader(message);
  assert(decoded.ok);
  const { key, nonce } = await messageSecrets(messageKey, decoded.header.salt);
  const additional = joinParts([transcript, message.subarray(0, headerLength)]);
  return await keyedCrypto().open(message.subarray(headerLength), { key, nonce, additional }) !== null;
}

/** All that a state has which may be a key, and what follows from it on a chain. */
async function keysOf(state: RatchetState): Promise<Bytes[]> {
  const { turn, receiving, skipped, rootKey } = state;
  const starts = [rootKey, ...skipped.map(({ key }) => key)];
  if (receiving !== null) starts.push(receiving.chainKey);
  if (turn.side === "other") {
    starts.push(turn.pair.dhPrivate);
    if (turn.sending !== null) starts.push(turn.sending.chainKey);
  }
  const keys: Bytes[] = [];
  for (let key of starts) {
    keys.push(key);
    for (let i = 0; i < 8; i++) {
      keys.push(await messageKeyOf(key));
      key = await nextChainKey(key);
    }
  }
  return keys;
}

/** The messages that a thief of a state reads, who follows the ratchet and also tries everything that is in it. */
async function readBy(stolen: RatchetState, messages: readonly Bytes[]): Promise<Bytes[]> {
  const keys = await keysOf(stolen);
  const read: Bytes[] = [];
  let state = stolen;
  for (const message of messages) {
    const decrypted = await ratchetDecrypt(state, message, 0);
    if (decrypted.ok) state = decrypted.state;
    let isOpen = decrypted.ok || (await ratchetDecrypt(stolen, message, 0)).ok;
    for (const key of keys) isOpen ||= await keyOpens(key, message, stolen.transcript);
    if (isOpen) read.push(message);
  }
  return read;
}

/** Lets sides send in turn, `counts[i]` messages each time, the joiner first; gives all messages. */
async function talk(from: Side, to: Side, counts: readonly number[]): Promise<Bytes[]> {
  const messages: Bytes[] = [];
  for (const count of counts) {
    for (let i = 0; i < count; i++) {
      const message = await from.send(`${messages.length}`);
      messages.push(message);
      assertEquals(await to.receive(message), `${messages.length - 1}`);
    }
    [from, to] = [to, from];
  }
  return messages;
}

const counts = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 });

Deno.test("A stolen state opens nothing that was decrypted before", { permissions }, async () => {
  await fc.assert(
    fc.asyncProperty(counts, async (counts) => {
      const { joiner, initiator } = await newSides();
      const messages = await talk(joiner, initiator, counts);
      for (const { state } of [joiner, initiator]) assertEquals(await readBy(state, messages), []);
    }),
    { numRuns: 15 },
  );
});

Deno.test("A stolen state opens nothing from the next round trip on", { permissions }, async () => {
  await fc.assert(
    fc.asyncProperty(counts, counts, fc.boolean(), async (before, after, ofJoiner) => {
      const { joiner, initiator } = await newSides();
      await talk(joiner, initiator, before);
      const [next, other] = before.length % 2 === 0 ? [joiner, initiator] : [initiator, joiner];
      const { state } = ofJoiner ? joiner : initiator;
      // The first chain may be made against a stolen pair; the answer to it is made of two that are fresh.
      const first = await talk(next, other, [1]);
      const later = await talk(other, next, after);
      const read = await readBy(state, [...first, ...later]);
      assertEquals(read, state.turn.side === "own" ? [] : first);
    }),
    { numRuns: 15 },
  );
});

Deno.test("A stolen state opens what is sent on the chains that it knows: the thief of these tests is able", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  await talk(joiner, initiator, [1]);
  const [ofSender, ofReceiver] = [joiner.state, initiator.state];
  const messages = await talk(joiner, initiator, [3]);
  assertEquals((await readBy(ofSender, messages)).length, 3);
  assertEquals((await readBy(ofReceiver, messages)).length, 3);
});

Deno.test("The private half of a pair is gone when the other side's step was made against it", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  const holds = async ({ state }: Side, secret: Bytes) =>
    (await encodeRatchetState(state)).toHex().includes(secret.toHex());
  const privateOf = ({ state: { turn } }: Side) => {
    assert(turn.side === "other");
    return turn.pair;
  };
  assertEquals(joiner.state.turn.side, "own");
  const first = privateOf(initiator);
  assertEquals(await holds(initiator, first.dhPrivate), true);
  await initiator.receive(await joiner.send("first"));
  for (const secret of [first.dhPrivate, first.kemPrivate]) {
    assertEquals(await holds(initiator, secret), false);
  }
  const second = privateOf(joiner);
  await joiner.receive(await initiator.send("answer"));
  for (const secret of [second.dhPrivate, second.kemPrivate]) {
    assertEquals(await holds(joiner, secret), false);
  }
});

Deno.test("A skipped key that was used is gone", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const late = await joiner.send("late");
  await initiator.receive(await joiner.send("first"));
  const { key } = initiator.state.skipped[0]!;
  assertEquals(await keyOpens(key, late, initiator.state.transcript), true);
  await initiator.receive(late);
  assertEquals((await encodeRatchetState(initiator.state)).toHex().includes(key.toHex()), false);
});
