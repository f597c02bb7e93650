import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  bigintToBytes,
  blockSizes,
  bytesToBigint,
  decodeInitiatorUpgrade,
  decodeJoinerUpgrade,
  decodeRouteRecord,
  encodeInitiatorUpgrade,
  encodeJoinerUpgrade,
  encodeRouteRecord,
  exportPrivateKey,
  generateKeyPair,
  generateRatchetPair,
  ParseError,
  type RouteRecord,
  senderKeyOf,
  senderKeyPrimes,
  signPss,
  verifyPss,
} from "../../../protocol/mod.ts";
import { routeRecord } from "../../support/route_record.ts";
import { seededRandom } from "../../support/ratchet.ts";

const permissions = "none";
const { dh, kem } = await generateRatchetPair(seededRandom(1));
const joiner = { pair: { dh, kem }, route: routeRecord(1) };
const initiator = { ...joiner, ciphertext: seededRandom(2)(1088) };
/** Bytes of a record besides address and sender ID. */
const fixed = 8 + 2 + 1 + 128 + 128 + 32 + 4;

Deno.test("UPGs are read as they were written, and fit a 0.3 message", { permissions }, () => {
  const ofJoiner = encodeJoinerUpgrade(joiner), ofInitiator = encodeInitiatorUpgrade(initiator);
  assertEquals(decodeJoinerUpgrade(ofJoiner), { ok: true, upgrade: joiner });
  assertEquals(decodeInitiatorUpgrade(ofInitiator), { ok: true, upgrade: initiator });
  const record = encodeRouteRecord(joiner.route).length;
  assertEquals([ofJoiner.length, ofInitiator.length], [1217 + record, 2305 + record]);
  assert(ofInitiator.length < 2800, `${ofInitiator.length} bytes`);
  assertEquals(ofJoiner[0], 1);
});

Deno.test("A UPG that is cut off or longer is malformed; another version is told", { permissions }, () => {
  const malformed = { ok: false, code: "MALFORMED" } as const;
  const both = [
    [encodeJoinerUpgrade(joiner), decodeJoinerUpgrade],
    [encodeInitiatorUpgrade(initiator), decodeInitiatorUpgrade],
  ] as const;
  for (const [bytes, decode] of both) {
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(decode(bytes.slice(0, length)), malformed);
    }
    assertEquals(decode(Uint8Array.of(...bytes, 0)), malformed);
    for (const version of [0, 2, 255]) {
      assertEquals(decode(bytes.with(0, version)), { ok: false, code: "VERSION" });
    }
    assertEquals(
      decode(bytes.map((byte, at) => at >= 33 && at < 1217 ? 0xff : byte)),
      malformed,
      "a KEM key",
    );
  }
  assertEquals(decodeInitiatorUpgrade(both[0][0]), malformed);
  assertEquals(decodeJoinerUpgrade(both[1][0]), malformed);
});

Deno.test("Any bytes are a UPG or refused", { permissions }, () => {
  const changes = fc.array(fc.tuple(fc.nat(3000), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(fc.boolean(), changes, (ofJoiner, changes) => {
    const bytes = ofJoiner ? encodeJoinerUpgrade(joiner) : encodeInitiatorUpgrade(initiator);
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    if (ofJoiner) {
      const decoded = decodeJoinerUpgrade(bytes);
      if (decoded.ok) assertEquals(encodeJoinerUpgrade(decoded.upgrade), bytes);
    } else {
      const decoded = decodeInitiatorUpgrade(bytes);
      if (decoded.ok) assertEquals(encodeInitiatorUpgrade(decoded.upgrade), bytes);
    }
  }));
});

Deno.test("A route record is read as it was written, with the longest parts too", { permissions }, () => {
  const changes: Partial<RouteRecord>[] = [
    {},
    { server: "h" },
    { server: "h".repeat(320), senderId: new Uint8Array(255) },
    { senderId: Uint8Array.of(0) },
    ...blockSizes.map((blockSize) => ({ blockSize })),
  ];
  for (const change of changes) {
    const record = routeRecord(3, change), bytes = encodeRouteRecord(record);
    assertEquals(decodeRouteRecord(bytes), record);
    assertEquals(bytes.length, fixed + record.server.length + record.senderId.length);
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(decodeRouteRecord(bytes.slice(0, length)), null);
    }
    assertEquals(decodeRouteRecord(Uint8Array.of(...bytes, 0)), null);
  }
});

Deno.test("A route record that cannot be is neither written nor read", { permissions }, () => {
  const { p, q } = routeRecord(1);
  const wrong: Partial<RouteRecord>[] = [
    { routeId: new Uint8Array(7) },
    { server: "" },
    { server: "h".repeat(321) },
    { server: "a b" },
    { server: "host:0" },
    { server: "host#AAAA" },
    { server: "h\u00e9" },
    { senderId: new Uint8Array(0) },
    { senderId: new Uint8Array(256) },
    { p: q, q: p },
    { p, q: p },
    { q: q.with(127, 0xe2) },
    { p: p.with(127, 0xf0) },
    { p: p.with(0, 0x80), q: q.with(0, 0x7f) },
    { p: p.slice(1) },
    { routeKey: new Uint8Array(31) },
    { blockSize: 0 },
    { blockSize: 4097 },
    { blockSize: 65540 },
    { blockSize: 2 ** 32 - 1 },
  ];
  for (const change of wrong) {
    assertThrows(() => encodeRouteRecord(routeRecord(1, change)), RangeError);
  }
  const server = "host", bytes = encodeRouteRecord(routeRecord(1, { server }));
  const serverAt = 10, pAt = serverAt + server.length + 1 + 24;
  for (const byte of [0x20, 0x0a, 0xe9, 0x00]) {
    assertEquals(decodeRouteRecord(bytes.with(serverAt, byte)), null);
  }
  assertEquals(decodeRouteRecord(bytes.with(pAt, 0x10)), null, "p below q");
  assertEquals(decodeRouteRecord(bytes.with(bytes.length - 1, 1)), null, "block size 4097");
});

Deno.test("A sender key told by its primes signs as the key that they are of", { permissions }, async () => {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  const primes = senderKeyPrimes(await exportPrivateKey(privateKey));
  assertEquals([primes.p.length, primes.q.length], [128, 128]);
  const told = (await senderKeyOf(primes))!;
  assertEquals(told.publicKey.der, publicKey.der);
  const data = Uint8Array.of(1, 2, 3);
  assertEquals(await verifyPss(publicKey, await signPss(told.privateKey, data), data), true);
  encodeRouteRecord(routeRecord(1, primes));
});

Deno.test("Primes that make no key of RSA-2048 are refused", { permissions }, async () => {
  const primes = senderKeyPrimes(await exportPrivateKey((await generateKeyPair("sign")).privateKey));
  const { p, q } = primes;
  // Of what is only odd, one in 355 is a prime.
  const multipleOf3 = bytesToBigint(p) + 2n * (bytesToBigint(p) % 3n);
  const wrong = [
    { p: q, q: p },
    { p, q: p },
    { p, q: new Uint8Array(128) },
    { p, q: q.with(127, q[127]! ^ 1) },
    { p: p.with(0, 0), q: q.with(0, 0) },
    { p: bigintToBytes(multipleOf3, 128), q },
    routeRecord(1),
  ];
  for (const [i, primes] of wrong.entries()) assertEquals(await senderKeyOf(primes), null, `${i}`);
});

Deno.test("Only keys of RSA-2048 are told by their primes", { permissions }, async () => {
  const small = await exportPrivateKey((await generateKeyPair("sign", 1024)).privateKey);
  for (const der of [small, small.slice(0, 40), new Uint8Array(0), new Uint8Array(50)]) {
    const error = assertThrows(() => senderKeyPrimes(der), ParseError);
    assert(error instanceof ParseError && error.code === "PRIVATE_KEY");
  }
});
