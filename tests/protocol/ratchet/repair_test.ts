import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  isAuthenticRepair,
  mostRanges,
  type NumberSet,
  packetLength,
  padRepair,
  randomBytes,
  readRepair,
  type RepairAccount,
  type RepairPacket,
  type RepairRest,
  repairTranscript,
  repairWindow,
  sealRepair,
} from "../../../protocol/mod.ts";

const permissions = "none";
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((made) => new Uint8Array(made));
const number = fc.integer({ min: 0, max: 2 ** 39 });

/** Numbers in a window, each range with something missing before it. */
const set: fc.Arbitrary<NumberSet> = fc.tuple(
  number,
  fc.uniqueArray(fc.integer({ min: 1, max: repairWindow - 1 }), { maxLength: mostRanges }),
).map(([upTo, bits]) => {
  const ranges: [number, number][] = [];
  for (const bit of bits.sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.[1] === upTo + bit) last[1] = upTo + bit + 1;
    else ranges.push([upTo + bit + 1, upTo + bit + 1]);
  }
  return { upTo, ranges };
});
const greatest = ({ upTo, ranges }: NumberSet) => ranges.at(-1)?.[1] ?? upTo;
const count = ({ ranges }: NumberSet) => ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
/** Without digest, with one and names, with one alone. */
const account: fc.Arbitrary<RepairAccount> = fc.tuple(set, fc.nat(1000), number, bytes(32), fc.nat(2)).map(
  ([stored, more, id, hash, kind]) => {
    const account = { stored, greatest: greatest(stored) + more, last: { id, hash } };
    const names = kind === 1 ? Array.from({ length: count(stored) }, () => hash.slice(0, 8)) : [];
    return kind === 0 ? account : { ...account, told: { digest: hash.slice(16), names } };
  },
);
const rest: fc.Arbitrary<RepairRest> = fc.tuple(set, fc.nat(1000), fc.nat(1000)).map(
  ([receipted, more, room]) => {
    const kept = greatest(receipted) + more;
    return { receipted, kept, next: kept + room };
  },
);
const time = fc.integer({ min: 0, max: 2 ** 46 });
const packet: fc.Arbitrary<RepairPacket> = fc.oneof(
  fc.record({ step: fc.constant("call" as const), time, id: bytes(16), asked: time }),
  fc.record({ step: fc.constant("ask" as const), time, id: bytes(16), account }),
  fc.record({ step: fc.constant("offer" as const), id: bytes(16), pair: bytes(1216), account, rest }),
  fc.record({
    step: fc.constant("answer" as const),
    id: bytes(16),
    pair: bytes(1216),
    ciphertext: bytes(1088),
    rest,
  }),
);

Deno.test({
  name: "what is said to repair a session is read as it was, from a packet of any route, and is authentic",
  permissions,
  async fn() {
    await fc.assert(fc.asyncProperty(packet, bytes(32), async (packet, repairKey) => {
      const before = [randomBytes(10)];
      const sealed = await sealRepair(packet, { repairKey, before });
      for (const blockSize of [4096, 65_536]) {
        const padded = padRepair(sealed, blockSize);
        assertEquals(padded.length, packetLength(blockSize));
        const heard = readRepair(padded.subarray(1))!;
        assertEquals(heard, sealed);
        assert(await isAuthenticRepair(heard, { repairKey, before }));
        assert(!await isAuthenticRepair(heard, { repairKey, before: [] }));
        assert(!await isAuthenticRepair(heard, { repairKey: randomBytes(32), before }));
      }
    }));
  },
});

Deno.test({
  name: "a packet that is cut off, has anything behind it, or one bit changed, is none or not authentic",
  permissions,
  async fn() {
    await fc.assert(
      fc.asyncProperty(packet, fc.nat(), fc.integer({ min: 0, max: 7 }), async (packet, at, bit) => {
        const repairKey = randomBytes(32);
        const { bytes } = await sealRepair(packet, { repairKey });
        assertEquals(readRepair(bytes.slice(0, at % bytes.length)), null);
        assertEquals(readRepair(Uint8Array.of(...bytes, 0, 0, 1 << bit)), null);
        const changed = bytes.slice();
        changed[at % bytes.length]! ^= 1 << bit;
        const heard = readRepair(changed);
        assert(heard === null || !await isAuthenticRepair(heard, { repairKey }));
      }),
    );
  },
});

Deno.test({
  name: "accounts that cannot be are refused: too large, the first missing number there, too many ranges",
  permissions,
  async fn() {
    const repairKey = randomBytes(32);
    const none = { upTo: 5, ranges: [] };
    const last = { id: 1, hash: randomBytes(32) };
    const ask = (account: RepairAccount) =>
      sealRepair({ step: "ask", time: 1, id: randomBytes(16), account }, { repairKey });
    const read = async (account: RepairAccount) => readRepair((await ask(account)).bytes);
    assert(await read({ stored: none, greatest: 5, last }) !== null);
    assertEquals(await read({ stored: none, greatest: 4, last }), null);
    assertEquals(await read({ stored: none, greatest: 2 ** 40, last }), null);
    assertEquals(await read({ stored: none, greatest: 5, last: { ...last, id: 2 ** 40 } }), null);
    assertEquals(await read({ stored: { upTo: 5, ranges: [[6, 7]] }, greatest: 7, last }), null);
    const many = Array.from({ length: mostRanges + 1 }, (_, i) => [2 * i + 7, 2 * i + 7] as const);
    assertEquals(await read({ stored: { upTo: 5, ranges: many }, greatest: 500, last }), null);
    assertThrows(() => padRepair({ bytes: new Uint8Array(4000) }, 4096), RangeError);
  },
});

Deno.test({
  name: "a transcript is of all three packets",
  permissions,
  async fn() {
    const parts = { ask: randomBytes(169), offer: randomBytes(1461), answer: randomBytes(2435) };
    const hash = await repairTranscript(parts);
    for (const name of ["ask", "offer", "answer"] as const) {
      const changed = { ...parts, [name]: randomBytes(parts[name].length) };
      assert(`${await repairTranscript(changed)}` !== `${hash}`);
    }
  },
});
