// The vectors of sessions (make_ratchet_vectors.mjs): packets of a route, and pieces.

import { Buffer } from "node:buffer";
import { base64, FixedRandom, flipped, replaced, withoutZeros } from "./ratchet_vectors_kit.mjs";
import { expectRefused, hostileEntry } from "./ratchet_vectors_upgrade.mjs";
import {
  addPiece,
  openPacket,
  packetSize,
  packetsOf,
  parsePacket,
  sealPacket,
  startReassembly,
} from "./session.mjs";

/** A message in its packets over a route, and what is refused on it. */
export function makePackets({ mlKem, route, message }) {
  const random = new FixedRandom("packets");
  const kit = { mlKem, random: random.bytes };
  const long = kit.random(9000);
  const limit = kit.random(packetSize(route.blockSize) - 3);
  random.noted();
  const sent = [message, limit, long].map((whole) => ({
    message: base64(whole),
    packets: packetsOf(whole, route.blockSize).map((packet) => {
      const body = sealPacket(kit, route, packet);
      if (!openPacket(route, body).packet.equals(packet)) throw new Error("a packet does not come back");
      return { random: random.noted(), packet: base64(withoutZeros(packet)), body: base64(body) };
    }),
  }));
  const bodies = sent.flatMap(({ packets }) => packets.map(({ body }) => Buffer.from(body, "base64")));
  return {
    sent,
    hostileBodies: hostileBodies(route, bodies[0]),
    hostilePackets: hostilePackets(route.blockSize, { message, long }),
    reassembly: reassembly(route, { long, other: kit.random(9000) }),
  };
}

function hostileBodies(route, body) {
  const refused = [
    ["a byte too short", body.subarray(0, -1), "size"],
    ["empty", Buffer.alloc(0), "size"],
    ["another nonce", flipped(body, 0), "damaged"],
    ["another ciphertext", flipped(body, 12), "damaged"],
    ["another tag", flipped(body, body.length - 1), "damaged"],
  ];
  for (const [name, bytes, reason] of refused) expectRefused(name, openPacket(route, bytes), reason);
  const other = { ...route, senderId: flipped(route.senderId, 0) };
  expectRefused("another sender ID", openPacket(other, body), "damaged");
  // The bodies differ from the first one in few bytes: only these are noted.
  return [
    { name: "a byte too short", remove: 1, refused: "size" },
    { name: "empty", remove: body.length, refused: "size" },
    { name: "another nonce", flip: 0, refused: "damaged" },
    { name: "another ciphertext", flip: 12, refused: "damaged" },
    { name: "another tag", flip: body.length - 1, refused: "damaged" },
    { name: "another sender ID", senderId: base64(other.senderId), refused: "damaged" },
  ];
}

function hostilePackets(blockSize, { message, long }) {
  const [whole] = packetsOf(message, blockSize);
  const [piece, , last] = packetsOf(long, blockSize);
  const [indexAt, countAt, totalAt] = [17, 19, 21];
  const refused = [
    ["kind 4", replaced(whole, 0, [4]), "kind"],
    ["all zeros", Buffer.alloc(whole.length), "length", "silent"],
    ["longer than the packet", replaced(whole, 1, [0x0e, 0x22]), "length"],
    [
      "a message that ends before its padding begins",
      replaced(whole, whole.length - 1, [1]),
      "padding",
      "silent",
    ],
    ["a piece with an index that is the count", replaced(piece, indexAt, [0, 3]), "index"],
    ["a count that is too small", replaced(piece, countAt, [0, 2]), "count"],
    ["a count that is too great", replaced(piece, countAt, [0, 4]), "count"],
    ["a total of 0", replaced(piece, totalAt, [0, 0, 0, 0]), "total"],
    ["a total over 4 MiB, with its count", replaced(piece, countAt, [4, 0x8f, 0, 0x40, 0, 1]), "total"],
    ["a last piece with padding that is not zero", replaced(last, last.length - 1, [1]), "padding", "silent"],
  ];
  const cut = refused.map(([name, packet, reason, silent]) => {
    expectRefused(name, parsePacket(packet, blockSize), reason);
    return hostileEntry([name, withoutZeros(packet), reason, silent]);
  });
  expectRefused("a byte too short", parsePacket(whole.subarray(0, -1), blockSize), "size");
  return cut;
}

/** Pieces in an order, and what comes of each; `piece` is the place in `pieces`, which are without zeros at their end. */
function reassembly(route, { long, other }) {
  const [first, second, third] = packetsOf(long, route.blockSize);
  const wrong = packetsOf(other, route.blockSize).map((packet) => replaced(packet, 1, first.subarray(1, 17)));
  const contradiction = replaced(first, 19, [0, 2, 0, 0, 0x1c, 0]);
  const packets = [first, second, third, contradiction, ...wrong];
  const scenarios = [
    { name: "in another order, with repetitions", order: [2, 0, 2, 1] },
    { name: "a piece with another count and total", order: [0, 3, 1, 2] },
    { name: "another piece with the same index", order: [0, 4, 1, 2], silent: true },
    { name: "a whole with another tag, then the right one", order: [4, 5, 6, 1, 2, 0] },
  ];
  const run = ({ name, order, ...rest }) => {
    let state = startReassembly();
    const steps = order.map((at) => {
      const piece = parsePacket(packets[at], route.blockSize);
      if (piece.refused !== undefined) throw new Error(`${name}: ${piece.refused}`);
      const result = addPiece(state, { routeId: route.id, piece, now: 0 });
      if (result.refused !== undefined) return { piece: at, refused: result.refused };
      state = result.state;
      const outcome = result.message !== null ? "whole" : result.dropped.length > 0 ? "dropped" : "kept";
      return { piece: at, outcome };
    });
    return { name, ...rest, steps };
  };
  return { pieces: packets.map((packet) => base64(withoutZeros(packet))), scenarios: scenarios.map(run) };
}
