import { assert, assertEquals } from "@std/assert";
import { joinParts } from "../../../protocol/bytes.ts";
import { keyedCrypto } from "../../../protocol/crypto/runtime.ts";
import {
  decodeHeader,
  encodeHeader,
  encodeRatchetState,
  headerLength,
  largestGap,
  largestMessage,
  largestPlaintext,
  mostKnownChains,
  mostSkipped,
  ratchetDecrypt,
  ratchetEncrypt,
  type RatchetHeader,
  type RatchetState,
  skippedLifetime,
} from "../../../protocol/mod.ts";
import { messageKeyOf, messageSecrets } from "../../../protocol/ratchet/kdf.ts";
import { newSides, type Side } from "../../support/ratchet.ts";

const permissions = "none";

/** How often keys are derived and messages opened while `task` runs. */
async function countWork(task: () => Promise<unknown>): Promise<number> {
  const engine = keyedCrypto() as unknown as Record<string, unknown>;
  const subtle = crypto.subtle as unknown as Record<string, unknown>;
  let count = 0;
  const restore: (() => void)[] = [];
  const watch = (owner: Record<string, unknown>, name: string) => {
    const original = owner[name] as (...parameters: unknown[]) => unknown;
    const counting = (...parameters: unknown[]) => (count++, Reflect.apply(original, owner, parameters));
    Object.defineProperty(owner, name, { value: counting, configurable: true, writable: true });
    restore.push(owner === subtle ? () => Reflect.deleteProperty(owner, name) : () => owner[name] = original);
  };
  for (const name of ["hmac", "hkdf", "open"]) watch(engine, name);
  for (const name of ["importKey", "deriveBits", "decrypt", "digest"]) watch(subtle, name);
  try {
    await task();
  } finally {
    for (const undo of restore) undo();
  }
  return count;
}

/** The code of a message that is refused without any key being derived. */
async function refusal(state: RatchetState, message: Uint8Array<ArrayBuffer>, now = 0): Promise<string> {
  let code = "";
  const before = await encodeRatchetState(state);
  const work = await countWork(async () => {
    const decrypted = await ratchetDecrypt(state, message, now);
    code = decrypted.ok ? "ok" : decrypted.code;
  });
  assertEquals(await encodeRatchetState(state), before);
  return work === 0 ? code : `${code} after ${work} operations`;
}

/** A message with a part of its header replaced. */
function withPart(message: Uint8Array<ArrayBuffer>, at: number, part: Uint8Array): Uint8Array<ArrayBuffer> {
  const changed = message.slice();
  changed.set(part, at);
  return changed;
}

const numberAt = 61, dhAt = 25;
const u32 = (number: number) => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);

async function sendMany(side: Side, count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const messages: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < count; i++) messages.push(await side.send(`${i}`));
  return messages;
}

Deno.test(
  "What cannot be decrypted is refused before any work, each with a code of its own",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const other = await newSides(2);
    const first = await joiner.send("first");
    const work = await countWork(async () => {
      assertEquals(await initiator.receive(first.with(first.length - 1, first.at(-1)! ^ 1)), "DAMAGED");
    });
    assert(work > 0, "work is counted");
    const of = (message: Uint8Array<ArrayBuffer>) => refusal(initiator.state, message);
    assertEquals(await of(new Uint8Array(0)), "SHORT");
    assertEquals(await of(first.slice(0, 80)), "SHORT");
    assertEquals(await of(first.slice(0, headerLength + 15)), "SHORT");
    assertEquals(await of(new Uint8Array(largestMessage + 1)), "LARGE");
    for (const version of [1, 2, 0x80, 0xff]) assertEquals(await of(first.with(0, version)), "VERSION");
    assertEquals(await of(await other.joiner.send("first")), "SESSION");
    assertEquals(await of(withPart(first, dhAt, initiator.state.ownKey)), "OWN_KEY");
    assertEquals(await of(withPart(first, numberAt, u32(largestGap + 1))), "FAR");
    assertEquals(await of(withPart(first, numberAt, u32(0xffff_ffff))), "FAR");
    assertEquals(
      await of(withPart(first, dhAt, initiator.state.known[0]!)),
      "USED",
      "the joiner's first pair",
    );
    await initiator.receive(first);
    assertEquals(await of(first), "USED");
    assertEquals(await of(withPart(first, numberAt, u32(largestGap + 2))), "FAR");
    assertEquals(await of(withPart(first, dhAt, new Uint8Array(32).fill(9))), "UNEXPECTED_CHAIN");
  },
);

Deno.test(
  "A KEM key that is none, and an X25519 key of small order, are damaged headers",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const first = await joiner.send("first");
    const kemAt = 65;
    assertEquals(
      await refusal(initiator.state, withPart(first, kemAt, Uint8Array.of(0xff, 0x0f))),
      "DAMAGED",
    );
    assertEquals(await initiator.receive(withPart(first, dhAt, new Uint8Array(32))), "DAMAGED");
    assertEquals(await initiator.receive(first), "first");
  },
);

Deno.test(
  "A message may be 2 000 beyond the next one of its chain, and no further",
  { permissions },
  async () => {
    for (const begun of [0, 1]) {
      const { joiner, initiator } = await newSides();
      if (begun === 1) await initiator.receive(await joiner.send("begin"));
      const messages = await sendMany(joiner, largestGap + 2);
      assertEquals(await refusal(initiator.state, messages[largestGap + 1]!), "FAR");
      assertEquals(await initiator.receive(messages[largestGap]!), `${largestGap}`);
      assertEquals(initiator.state.skipped.length, mostSkipped);
      assertEquals(await initiator.receive(messages[0]!), "0");
      assertEquals(await initiator.receive(messages[largestGap - 1]!), `${largestGap - 1}`);
      assertEquals(initiator.state.skipped.length, mostSkipped - 2);
    }
  },
);

Deno.test(
  "At the limit the oldest skipped keys are dropped, and the step goes on",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const old = await sendMany(joiner, 1200);
    await initiator.receive(old[100]!);
    await joiner.receive(await initiator.send("answer"));
    const later = await sendMany(joiner, 1000);
    assertEquals(await initiator.receive(later[999]!), "999");
    // 100 + 1099 of the first chain, 999 of the second: the oldest 198 are gone.
    assertEquals(initiator.state.skipped.length, mostSkipped);
    assertEquals(await initiator.receive(old[99]!), "USED");
    assertEquals(await initiator.receive(old[198]!), "USED");
    assertEquals(await initiator.receive(old[199]!), "199");
    assertEquals(await initiator.receive(later[0]!), "0");
  },
);

Deno.test("A gap of a previous chain beyond the limit is not stored", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const old = await sendMany(joiner, largestGap + 2);
  await initiator.receive(old[0]!);
  await joiner.receive(await initiator.send("answer"));
  const message = await joiner.send("new");
  const work = await countWork(async () => assertEquals(await initiator.receive(message), "new"));
  assert(work < 40, `${work} operations`);
  assertEquals(initiator.state.skipped, []);
  assertEquals(await initiator.receive(old[1]!), "USED");
});

Deno.test("Skipped keys are kept for 30 days", { permissions }, async () => {
  const { joiner, initiator } = await newSides();
  const [first, second, third, fourth] = await sendMany(joiner, 4);
  assertEquals(await initiator.receive(third!, 1000), "2");
  assertEquals(await initiator.receive(first!, 1000 + skippedLifetime), "0");
  assertEquals(await refusal(initiator.state, second!, 1001 + skippedLifetime), "USED");
  assertEquals(await initiator.receive(fourth!, 1001 + skippedLifetime), "3");
  assertEquals(initiator.state.skipped, []);
});

Deno.test(
  "The keys of 32 chains are remembered, and messages of older ones are read while their keys are kept",
  {
    permissions,
  },
  async () => {
    const { joiner, initiator } = await newSides();
    const [late, first] = await sendMany(joiner, 2);
    await initiator.receive(first!);
    for (let turn = 0; turn < mostKnownChains + 3; turn++) {
      await joiner.receive(await initiator.send("to"));
      await initiator.receive(await joiner.send("fro"));
    }
    assertEquals(initiator.state.known.length, mostKnownChains);
    assertEquals(await initiator.receive(late!), "0");
    await joiner.receive(await initiator.send("to"));
    // Of a chain that is forgotten altogether: the step is tried, and fails.
    assertEquals(await initiator.receive(late!), "DAMAGED");
    assertEquals(await initiator.receive(first!), "DAMAGED");
  },
);

Deno.test(
  "A plaintext may be so long that packets carry its message, and no longer",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    const longest = new Uint8Array(largestPlaintext).fill(7);
    const encrypted = await ratchetEncrypt(joiner.state, longest);
    assert(encrypted.ok);
    assertEquals(encrypted.message.length, largestMessage);
    const decrypted = await ratchetDecrypt(initiator.state, encrypted.message, 0);
    assert(decrypted.ok && decrypted.plaintext.length === longest.length);
    const tooLong = await ratchetEncrypt(joiner.state, new Uint8Array(largestPlaintext + 1));
    assertEquals(tooLong, { ok: false, code: "LARGE" });
  },
);

Deno.test("A chain whose numbers are used up sends nothing more", { permissions }, async () => {
  const { joiner } = await newSides();
  await joiner.send("begin");
  const { turn } = joiner.state;
  assert(turn.side === "other" && turn.sending !== null);
  const state = { ...joiner.state, turn: { ...turn, sending: { ...turn.sending, number: 0xffff_ffff } } };
  assertEquals(await ratchetEncrypt(state, new Uint8Array(1)), { ok: false, code: "EXHAUSTED" });
});

Deno.test("A message beyond the last number of a chain is refused, whoever has made it", {
  permissions,
}, async () => {
  const { joiner, initiator } = await newSides();
  await initiator.receive(await joiner.send("begin"));
  const { turn } = joiner.state;
  const { receiving } = initiator.state;
  assert(turn.side === "other" && turn.sending !== null && receiving !== null);
  const last = 0xffff_fffe;
  const sending = { ...joiner.state, turn: { ...turn, sending: { ...turn.sending, number: last } } };
  const encrypted = await ratchetEncrypt(sending, new Uint8Array(1));
  assert(encrypted.ok);
  const state = { ...initiator.state, receiving: { ...receiving, number: last } };
  const decrypted = await ratchetDecrypt(state, encrypted.message, 0);
  assert(decrypted.ok);
  await encodeRatchetState(decrypted.state);

  const { header } = decodeHeader(encrypted.message) as { header: RatchetHeader };
  const beyond = encodeHeader({ ...header, number: last + 1 });
  const { chainKey } = decrypted.state.receiving!;
  const secrets = await messageSecrets(await messageKeyOf(chainKey), header.salt);
  const additional = joinParts([state.transcript, beyond]);
  const message = joinParts([
    beyond,
    await keyedCrypto().seal(new Uint8Array(1), { ...secrets, additional }),
  ]);
  for (const before of [state, decrypted.state]) {
    assertEquals(await ratchetDecrypt(before, message, 0), { ok: false, code: "FAR" });
  }
});

Deno.test("A header is not encoded with parts of other lengths", { permissions }, () => {
  const header = {
    session: new Uint8Array(8),
    salt: new Uint8Array(16),
    dh: new Uint8Array(32),
    previous: 0,
    number: 0,
    kem: new Uint8Array(1184),
    ciphertext: new Uint8Array(1088),
  };
  const wrong = [
    { session: new Uint8Array(7) },
    { salt: new Uint8Array(17) },
    { dh: new Uint8Array(0) },
    { previous: 2 ** 32 },
    { number: -1 },
    { number: 0.5 },
    { ciphertext: new Uint8Array(1087) },
    { kem: new Uint8Array(1183) },
  ];
  for (const part of wrong) {
    let error: unknown;
    try {
      encodeHeader({ ...header, ...part });
    } catch (caught) {
      error = caught;
    }
    assert(error instanceof RangeError, JSON.stringify(Object.keys(part)));
  }
});
