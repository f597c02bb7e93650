import { assert, assertEquals } from "@std/assert";
import { createHash, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from "node:crypto";
import {
  decodePublicPair,
  encodePublicPair,
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  offerSession,
  randomBytes,
  type SessionTranscript,
  transcriptHash,
} from "../../../protocol/mod.ts";
import { newSessions, seededRandom } from "../../support/ratchet.ts";

const permissions = "none";

const said: SessionTranscript = {
  invitation: "smp::host::c2VuZGVy::rsa:a2V5",
  acceptedKey: "rsa:YWNjZXB0ZWQ=",
  joinerHelloKey: "rsa:aGVsbG8=",
  joinerHelloExtensions: "ext=session1",
  replyQueue: "smp::other::c2VuZGVy::rsa:a2V5",
  replyExtensions: "ext=session1,other2",
  initiatorKey: "rsa:a2V5",
  initiatorHelloKey: "rsa:aGVsbG8y",
  initiatorHelloExtensions: "ext=session1",
  joinerUpgrade: Uint8Array.of(1, 2, 3, 0xff),
  initiatorUpgrade: new Uint8Array(300).fill(7),
};

Deno.test(
  "The transcript is the hash of all that was said, each with its length",
  { permissions },
  async () => {
    const hash = createHash("sha256").update("smp-session-1");
    for (const item of Object.values(said)) {
      const bytes = Buffer.from(item);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      hash.update(length).update(bytes);
    }
    assertEquals((await transcriptHash(said)).toHex(), hash.digest("hex"));
  },
);

Deno.test(
  "Every item of the transcript changes it, and so does where one ends",
  { permissions },
  async () => {
    const hashes = new Set([(await transcriptHash(said)).toHex()]);
    for (const [name, item] of Object.entries(said)) {
      const changed = typeof item === "string" ? `${item}x` : Uint8Array.of(...item, 0);
      hashes.add((await transcriptHash({ ...said, [name]: changed })).toHex());
    }
    assertEquals(hashes.size, 12);
    const moved = { ...said, invitation: `${said.invitation}r`, acceptedKey: said.acceptedKey.slice(1) };
    assert((await transcriptHash(moved)).toHex() !== (await transcriptHash(said)).toHex());
  },
);

Deno.test("Root, safety code and repair key are what the specification says", { permissions }, async () => {
  const random = seededRandom(3);
  const joinerPair = await generateRatchetPair(random);
  const offer = (await offerSession(joinerPair, random))!;
  const transcript = random(32);
  const session = (await initiatorSession(offer, { joiner: joinerPair, transcript }))!;
  const der = (start: string, raw: Uint8Array) => Buffer.concat([Buffer.from(start, "hex"), raw]);
  const privateKey = createPrivateKey({
    key: der("302e020100300506032b656e04220420", offer.pair.dhPrivate),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = createPublicKey({
    key: der("302a300506032b656e032100", joinerPair.dh),
    format: "der",
    type: "spki",
  });
  const ikm = Buffer.concat([offer.secret, diffieHellman({ privateKey, publicKey })]);
  const root = new Uint8Array(hkdfSync("sha256", ikm, transcript, "smp-session", 32));
  assertEquals(session.state.rootKey, root);
  const derived = (info: string, length: number) =>
    new Uint8Array(hkdfSync("sha256", root, new Uint8Array(0), info, length));
  assertEquals(session.repairKey, derived("smp-session-repair", 32));
  const digits = Array.from(
    { length: 12 },
    (_, i) =>
      (BigInt(`0x${derived("smp-session-safety", 60).subarray(5 * i, 5 * i + 5).toHex()}`) % 100_000n)
        .toString()
        .padStart(5, "0"),
  );
  assertEquals(session.safetyCode, digits.join(" "));
});

Deno.test(
  "Both sides have the same session, and any other transcript makes another one",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSessions();
    assert(/^\d{5}( \d{5}){11}$/.test(joiner.safetyCode));
    assertEquals(joiner.safetyCode, initiator.safetyCode);
    assertEquals(joiner.repairKey, initiator.repairKey);
    assertEquals(joiner.state.rootKey, initiator.state.rootKey);
    const codes = new Set<string>();
    for (const seed of [1, 2, 3]) codes.add((await newSessions(seed)).joiner.safetyCode);
    assertEquals(codes.size, 3);
  },
);

Deno.test(
  "A ciphertext that was changed on its way gives the joiner another safety code",
  { permissions },
  async () => {
    const pair = await generateRatchetPair();
    const offer = (await offerSession(pair))!;
    const transcript = randomBytes(32);
    const ciphertext = offer.ciphertext.with(5, offer.ciphertext[5]! ^ 1);
    const joiner = await joinerSession(pair, { initiator: offer.pair, ciphertext, transcript });
    const initiator = await initiatorSession(offer, { joiner: pair, transcript });
    assert(joiner!.safetyCode !== initiator!.safetyCode);
  },
);

Deno.test("First pairs that are not valid make no session", { permissions }, async () => {
  const pair = await generateRatchetPair(), transcript = randomBytes(32);
  const offer = (await offerSession(pair))!;
  const zero = new Uint8Array(32);
  assertEquals(await offerSession({ ...pair, dh: zero }), null);
  assertEquals(await offerSession({ ...pair, kem: pair.kem.slice().fill(0xff) }), null);
  assertEquals(await offerSession({ ...pair, kem: pair.kem.slice(1) }), null);
  assertEquals(await initiatorSession(offer, { joiner: { ...pair, dh: zero }, transcript }), null);
  const { ciphertext } = offer;
  const join = (initiator: typeof offer.pair, given = ciphertext) =>
    joinerSession(pair, { initiator, ciphertext: given, transcript });
  assertEquals(await join({ ...offer.pair, dh: zero }), null);
  assertEquals(await join({ ...offer.pair, kem: pair.kem.slice().fill(0xff) }), null);
  assertEquals(await join(offer.pair, ciphertext.slice(1)), null);
});

Deno.test("A public pair is read as it was written, and refused when a KEM coefficient is too large", {
  permissions,
}, async () => {
  const pair = await generateRatchetPair();
  const bytes = encodePublicPair(pair);
  assertEquals(decodePublicPair(bytes), { dh: pair.dh, kem: pair.kem });
  for (const length of [0, 32, 1215]) assertEquals(decodePublicPair(bytes.slice(0, length)), null);
  const kemAt = 32;
  for (const index of [0, 1, 2, 766, 767]) {
    const at = kemAt + Math.floor(index / 2) * 3;
    const withCoefficient = (value: number) => {
      const changed = bytes.slice();
      if (index % 2 === 0) {
        changed[at] = value & 255;
        changed[at + 1] = (changed[at + 1]! & 0xf0) | (value >> 8);
      } else {
        changed[at + 1] = (changed[at + 1]! & 15) | ((value & 15) << 4);
        changed[at + 2] = value >> 4;
      }
      return changed;
    };
    assert(decodePublicPair(withCoefficient(3328)) !== null);
    assertEquals(decodePublicPair(withCoefficient(3329)), null);
    assertEquals(await offerSession({ dh: pair.dh, kem: withCoefficient(3329).slice(32) }), null);
  }
});
