import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
// @ts-types="../peers/session.d.mts"
import * as peer from "../peers/session.mjs";
import {
  addPiece,
  decodePacket,
  decodeRatchetState,
  emptyReassembly,
  encodePublicPair,
  encodeRatchetState,
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  offerSession,
  openPacket,
  ratchetDecrypt,
  ratchetEncrypt,
  type RatchetPair,
  type RatchetState,
  sealPacket,
  splitMessage,
} from "../../protocol/mod.ts";
import { independentMlKem } from "../support/independent_ml_kem.ts";
import { seededRandom } from "../support/ratchet.ts";
import { routeRecord } from "../support/route_record.ts";

// The ratchet and packets of this project with those of tests/peers/session.mjs.

const permissions = "none";

/** One side of a session, whichever implementation it is of. */
interface Side {
  send(plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null>;
  /** The plaintext in hex, or `refused`. */
  receive(message: Uint8Array<ArrayBuffer>): Promise<string>;
  skipped(): number;
}

class OurSide implements Side {
  constructor(
    private state: RatchetState,
    private readonly random: (length: number) => Uint8Array<ArrayBuffer>,
  ) {}

  async send(plaintext: Uint8Array<ArrayBuffer>) {
    const encrypted = await ratchetEncrypt(this.state, plaintext, this.random);
    if (!encrypted.ok) return null;
    this.state = encrypted.state;
    return encrypted.message;
  }

  async receive(message: Uint8Array<ArrayBuffer>) {
    const decrypted = await ratchetDecrypt(this.state, message, 0);
    if (!decrypted.ok) return "refused";
    // As if it were stored and loaded between any two messages.
    const stored = await decodeRatchetState(await encodeRatchetState(decrypted.state));
    assert(stored !== null);
    this.state = stored;
    return decrypted.plaintext.toHex();
  }

  skipped() {
    return this.state.skipped.length;
  }
}

class PeerSide implements Side {
  constructor(private state: peer.RatchetState, private readonly kit: peer.Kit) {}

  send(plaintext: Uint8Array<ArrayBuffer>) {
    const encrypted = peer.encrypt(this.kit, this.state, plaintext);
    if (encrypted.refused !== undefined) return Promise.resolve(null);
    this.state = encrypted.state;
    return Promise.resolve(new Uint8Array(encrypted.message));
  }

  receive(message: Uint8Array<ArrayBuffer>) {
    const decrypted = peer.decrypt(this.kit, this.state, message, 0);
    if (decrypted.refused !== undefined) return Promise.resolve("refused");
    this.state = decrypted.state;
    return Promise.resolve(new Uint8Array(decrypted.plaintext).toHex());
  }

  skipped() {
    return this.state.skipped.size;
  }
}

type Name = "joiner" | "initiator";

/** A session of both implementations, `ours` being this project's side. */
async function newSession(ours: Name, seed: number): Promise<Record<Name, Side>> {
  const random = seededRandom(seed);
  const kit: peer.Kit = { mlKem: independentMlKem, random };
  const joinerPair = await generateRatchetPair(random);
  const offer = (await offerSession(joinerPair, random))!;
  const transcript = random(32);
  const { pair, ciphertext } = offer;
  const sessions = {
    joiner: await joinerSession(joinerPair, { initiator: pair, ciphertext, transcript }),
    initiator: await initiatorSession(offer, { joiner: joinerPair, transcript }),
  };
  assert(sessions.joiner !== null && sessions.initiator !== null);
  const theirs = (role: Name, own: RatchetPair, other: RatchetPair) => {
    const pair = { dhPrivate: own.dhPrivate, kemSeed: own.kemPrivate, kemSecret: own.kemPrivate };
    const root = sessions[role]!.state.rootKey;
    return peer.startRatchet({
      ...{ role, transcript, root, other: encodePublicPair(other) },
      pair: { ...pair, public: encodePublicPair(own) },
    });
  };
  return ours === "joiner"
    ? {
      joiner: new OurSide(sessions.joiner.state, random),
      initiator: new PeerSide(theirs("initiator", pair, joinerPair), kit),
    }
    : {
      joiner: new PeerSide(theirs("joiner", joinerPair, pair), kit),
      initiator: new OurSide(sessions.initiator.state, random),
    };
}

const happening = fc.record({
  by: fc.constantFrom<Name>("joiner", "initiator"),
  what: fc.constantFrom("send", "send", "get", "get", "get", "damage"),
  which: fc.nat(1000),
});

interface Sent {
  readonly message: Uint8Array<ArrayBuffer>;
  readonly plaintext: string;
  isDecrypted: boolean;
}

for (const ours of ["joiner", "initiator"] as const) {
  Deno.test(
    `With this project as ${ours} and the other implementation, what comes is decrypted as it was sent, and once`,
    {
      permissions,
    },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(happening, { maxLength: 50, size: "max" }),
          fc.nat(),
          async (happenings, seed) => {
            const sides = await newSession(ours, seed + 1);
            const random = seededRandom(-seed - 2);
            const sent: Record<Name, Sent[]> = { joiner: [], initiator: [] };
            for (const { by, what, which } of happenings) {
              const from = by === "joiner" ? "initiator" : "joiner";
              if (what === "send") {
                const plaintext = random(which % 60), message = await sides[by].send(plaintext);
                if (message !== null) {
                  sent[by].push({ message, plaintext: plaintext.toHex(), isDecrypted: false });
                } else {assertEquals([
                    by,
                    sent.joiner.some(({ isDecrypted }) => isDecrypted),
                  ], ["initiator", false]);}
                continue;
              }
              const other = sent[from].at(-1 - which % 8);
              if (other !== undefined && what === "get") {
                const result = await sides[by].receive(other.message);
                assertEquals(result, other.isDecrypted ? "refused" : other.plaintext);
                other.isDecrypted = true;
              } else if (other !== undefined) {
                const at = which * 37 % other.message.length;
                const changed = other.message.with(at, other.message[at]! ^ (1 << which % 8));
                assertEquals(await sides[by].receive(changed), "refused");
              }
            }
            for (const [by, from] of [["joiner", "initiator"], ["initiator", "joiner"]] as const) {
              for (const { message, plaintext, isDecrypted } of sent[from]) {
                if (!isDecrypted) assertEquals(await sides[by].receive(message), plaintext);
                assertEquals(await sides[by].receive(message), "refused");
              }
            }
          },
        ),
        { numRuns: 25 },
      );
    },
  );
}

Deno.test(
  "Both implementations keep the same skipped keys over gaps of many sizes",
  { permissions },
  async () => {
    for (const ours of ["joiner", "initiator"] as const) {
      const sides = await newSession(ours, 11),
        mirror = await newSession(ours === "joiner" ? "initiator" : "joiner", 11);
      for (const gap of [0, 3, 700, 1999]) {
        for (const { joiner, initiator } of [sides, mirror]) {
          let message = await joiner.send(new Uint8Array(1));
          for (let i = 0; i < gap; i++) message = await joiner.send(new Uint8Array(1));
          assertEquals(await initiator.receive(message!), "00");
        }
        assertEquals(sides.initiator.skipped(), mirror.initiator.skipped(), `${gap}`);
      }
    }
  },
);

Deno.test("Packets and pieces of each implementation are read by the other", { permissions }, async () => {
  const random = seededRandom(12);
  const kit: peer.Kit = { mlKem: independentMlKem, random };
  for (const blockSize of [4096, 16384]) {
    const record = routeRecord(1, { blockSize });
    const secrets = { ...record, senderId: record.senderId.toBase64() };
    const theirRoute = { ...record, id: record.routeId, key: record.routeKey };
    for (const size of [1, 3617, 3618, 50_000]) {
      const message = random(size);
      let theirs = peer.startReassembly(), whole: Uint8Array | null = null;
      for (const packet of await splitMessage(message, blockSize)) {
        const opened = peer.openPacket(theirRoute, await sealPacket(packet, secrets, random));
        assert(opened.refused === undefined);
        const parsed = peer.parsePacket(opened.packet, blockSize);
        assert(parsed.refused === undefined);
        if (parsed.message !== undefined) whole = parsed.message;
        else {
          const added = peer.addPiece(theirs, { routeId: record.routeId, piece: parsed, now: 0 });
          assert(added.refused === undefined);
          theirs = added.state;
          whole = added.message;
        }
      }
      assert(whole !== null);
      assertEquals(new Uint8Array(whole).toHex(), message.toHex());

      let ours = emptyReassembly;
      const made: string[] = [];
      for (const packet of peer.packetsOf(message, blockSize)) {
        assertEquals(decodePacket(new Uint8Array(packet)).ok, true);
        const opened = await openPacket(new Uint8Array(peer.sealPacket(kit, theirRoute, packet)), secrets);
        assert(opened.ok);
        if (opened.packet.type === "message") made.push(opened.packet.message.toHex());
        else {
          assert(opened.packet.type === "piece");
          const added = await addPiece(ours, opened.packet, { route: "route", now: 0 });
          ours = added.reassembly;
          if (added.type === "whole") made.push(added.message.toHex());
        }
      }
      assertEquals(made, [message.toHex()]);
    }
  }
});
