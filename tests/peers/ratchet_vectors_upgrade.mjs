// The vectors of sessions (make_ratchet_vectors.mjs): one upgrade, from which the conversation goes on.

import { Buffer } from "node:buffer";
import { base64, FixedRandom, flipped, inBase64, primes, replaced } from "./ratchet_vectors_kit.mjs";
import {
  decapsulateFirst,
  decodeRoute,
  decodeUpg,
  encapsulateFirst,
  encodeRoute,
  encodeUpg,
  makePair,
  repairKeyOf,
  rootOf,
  safetyCode,
  TRANSCRIPT_ITEMS,
  transcriptOf,
} from "./session.mjs";

export function makeUpgrade(mlKem) {
  const random = new FixedRandom("upgrade");
  const kit = { mlKem, random: random.bytes };
  const route = (server, { idSize, blockSize }) => {
    const record = { id: kit.random(8), server, senderId: kit.random(idSize), ...primes() };
    return { ...record, key: kit.random(32), blockSize };
  };
  const routes = {
    joiner: route("b.example.com:5223#aaHRnXx8rj5lNEDCTm22Rh9vKRRcRXdL+gMFO6F9RYI=", {
      idSize: 16,
      blockSize: 4096,
    }),
    initiator: route("localhost", { idSize: 24, blockSize: 65536 }),
  };
  random.noted();

  const joinerPair = makePair(kit);
  const joinerUpg = encodeUpg({ publicPair: joinerPair.public, route: routes.joiner });
  const joinerRandom = random.noted();
  const initiatorPair = makePair(kit);
  const { ciphertext, secret } = encapsulateFirst(kit, joinerPair.public);
  const initiatorUpg = encodeUpg({ publicPair: initiatorPair.public, ciphertext, route: routes.initiator });
  const initiatorRandom = random.noted();

  const text = (name) => `rsa:${base64(Buffer.from(name))}`;
  const items = {
    invitation: `smp::a.example.com::${base64(kit.random(24))}::${text("encryption key of the invitation")}`,
    acceptedKey: text("the joiner's sender key"),
    joinerHello: text("the joiner's verification key"),
    joinerHelloExt: "ext=session1",
    joinerReply: `smp::b.example.com:5223::${base64(kit.random(24))}::${text("encryption key of the reply")}`,
    joinerReplyExt: "ext=session1",
    initiatorKey: text("the initiator's sender key"),
    initiatorHello: text("the initiator's verification key"),
    initiatorHelloExt: "ext=session1,other2",
    joinerUpg,
    initiatorUpg,
  };
  const transcript = transcriptOf(items);
  const { root } = rootOf({
    transcript,
    kemSecret: secret,
    ownPair: initiatorPair,
    otherPublic: joinerPair.public,
  });
  const joinerRoot = rootOf({
    transcript,
    kemSecret: decapsulateFirst(kit, ciphertext, joinerPair),
    ownPair: joinerPair,
    otherPublic: initiatorPair.public,
  }).root;
  if (!root.equals(joinerRoot)) throw new Error("the sides have different roots");

  const side = (pair, noted, upg) => ({ random: noted, publicPair: pair.public, upg });
  const section = inBase64({
    joiner: side(joinerPair, joinerRandom, joinerUpg),
    initiator: { ...side(initiatorPair, initiatorRandom, initiatorUpg), ciphertext },
    kemSecret: secret,
    transcript,
    root,
    repairKey: repairKeyOf(root),
  });
  const texts = Object.fromEntries(TRANSCRIPT_ITEMS.slice(0, -2).map((name) => [name, items[name]]));
  return {
    section: { ...section, texts, safetyCode: safetyCode(root) },
    routes: routeSection(routes),
    hostile: hostileUpgrades({ joinerUpg, initiatorUpg, joinerPair, transcript }),
    joinerPair,
    initiatorPair,
    transcript,
    root,
    joinerRoute: routes.joiner,
  };
}

function routeSection(routes) {
  const record = encodeRoute(routes.joiner);
  const idAndLength = 10;
  const senderAt = idAndLength + routes.joiner.server.length;
  const primesAt = senderAt + 1 + routes.joiner.senderId.length;
  const { p, q } = routes.joiner;
  const refused = [
    ["cut", record.subarray(0, -1), "length"],
    ["a byte behind", Buffer.concat([record, Buffer.of(0)]), "length"],
    [
      "no server",
      Buffer.concat([record.subarray(0, 8), Buffer.alloc(2), record.subarray(senderAt)]),
      "server",
    ],
    [
      "a server of 321 bytes",
      Buffer.concat([
        record.subarray(0, 8),
        Buffer.of(1, 65),
        Buffer.alloc(321, "a"),
        record.subarray(senderAt),
      ]),
      "server",
    ],
    ["a server that is not ASCII", replaced(record, idAndLength, [0xe9]), "server"],
    ["a server with a space", replaced(record, idAndLength, " "), "server", "silent"],
    [
      "no sender ID",
      Buffer.concat([record.subarray(0, senderAt), Buffer.of(0), record.subarray(primesAt)]),
      "sender ID",
      "silent",
    ],
    ["q before p", replaced(record, primesAt, Buffer.concat([q, p])), "sender key"],
    ["p and q equal", replaced(record, primesAt, Buffer.concat([p, p])), "sender key"],
    ["an even q", flipped(record, primesAt + 255), "sender key"],
    ["a modulus of less than 2048 bits", replaced(record, primesAt + 128, Buffer.alloc(8)), "sender key"],
    ["a block size that does not exist", replaced(record, record.length - 4, [0, 0, 16, 1]), "block size"],
  ];
  for (const [name, bytes, reason] of refused) expectRefused(name, decodeRoute(bytes), reason);
  return {
    right: Object.values(routes).map((route) => inBase64({ route, record: encodeRoute(route) })),
    hostile: refused.map(hostileEntry),
  };
}

function hostileUpgrades({ joinerUpg, initiatorUpg, joinerPair, transcript }) {
  const refused = [
    ["version 2", "joiner", replaced(joinerUpg, 0, [2]), "version"],
    ["empty", "joiner", Buffer.alloc(0), "length"],
    ["cut", "joiner", joinerUpg.subarray(0, -1), "length"],
    ["a byte behind", "initiator", Buffer.concat([initiatorUpg, Buffer.of(0)]), "length"],
    [
      "a KEM key whose first number is the modulus",
      "joiner",
      replaced(joinerUpg, 33, [1, 0x0d, 0]),
      "KEM key",
    ],
    [
      "a KEM key whose last number is the modulus",
      "initiator",
      replaced(initiatorUpg, 33 + 1149, [0, 0x10, 0xd0]),
      "KEM key",
    ],
  ];
  const read = refused.map(([name, role, bytes, reason]) => {
    expectRefused(name, decodeUpg(bytes, role), reason);
    return { name, role, upg: base64(bytes), refused: reason };
  });
  const rooted = [["all-zero", Buffer.alloc(32)], ["low-order", [1, ...Buffer.alloc(31)]]].map(
    ([kind, dh]) => {
      const [name, role] = [`${kind} DH key`, "initiator"];
      const upg = replaced(initiatorUpg, 1, dh);
      const { publicPair } = decodeUpg(upg, role);
      const kemSecret = Buffer.alloc(32);
      const result = rootOf({ transcript, kemSecret, ownPair: joinerPair, otherPublic: publicPair });
      expectRefused(name, result, "DH key");
      return { name, role, upg: base64(upg), refused: "DH key" };
    },
  );
  return [...read, ...rooted];
}

export function hostileEntry([name, bytes, reason, silent]) {
  const entry = { name, bytes: base64(bytes), refused: reason };
  return silent === undefined ? entry : { ...entry, silent: true };
}

export function expectRefused(name, result, reason) {
  if (result.refused !== reason) throw new Error(`${name}: ${JSON.stringify(result).slice(0, 200)}`);
}
