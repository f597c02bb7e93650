import { assert, assertEquals } from "@std/assert";
import {
  addPiece,
  decodeBase64,
  decodeFrames,
  decodeInitiatorUpgrade,
  decodeJoinerUpgrade,
  decodePacket,
  decodeRouteRecord,
  emptyReassembly,
  encodeBase64,
  encodeFrame,
  encodeInitiatorUpgrade,
  encodeJoinerUpgrade,
  encodePublicPair,
  encodeRouteRecord,
  type Frame,
  type FrameContent,
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  joinParts,
  messageHash,
  type NumberSet,
  offerSession,
  openPacket,
  packetLength,
  randomBytes,
  type RandomSource,
  ratchetDecrypt,
  ratchetEncrypt,
  type RatchetState,
  type RouteRecord,
  sealPacket,
  splitMessage,
  transcriptHash,
} from "../../../protocol/mod.ts";
import vectors from "../../vectors/ratchet.json" with { type: "json" };

const permissions = "none";

type Bytes = Uint8Array<ArrayBuffer>;
type Name = "joiner" | "initiator";

function bytesOf(text: string): Bytes {
  const bytes = decodeBase64(text);
  assert(bytes !== null);
  return bytes;
}

/** Random bytes as vectors have them; every one must be asked for, with its length. */
function given(random: readonly string[]): RandomSource & { readonly left: () => number } {
  const rest = random.map(bytesOf);
  const source = (length: number) => {
    const bytes = rest.shift();
    assert(bytes?.length === length, `${length} bytes are asked for`);
    return bytes;
  };
  return Object.assign(source, { left: () => rest.length });
}

async function firstStates(): Promise<Record<Name, RatchetState>> {
  const { joiner, initiator, texts, ...expected } = vectors.upgrade;
  const joinerPair = await generateRatchetPair(given(joiner.random));
  assertEquals(encodeBase64(encodePublicPair(joinerPair)), joiner.publicPair);
  const random = given(initiator.random);
  const offer = (await offerSession(joinerPair, random))!;
  assertEquals(random.left(), 0);
  assertEquals(encodeBase64(encodePublicPair(offer.pair)), initiator.publicPair);
  assertEquals(encodeBase64(offer.ciphertext), initiator.ciphertext);
  assertEquals(encodeBase64(offer.secret), expected.kemSecret);
  const ofJoiner = decodeJoinerUpgrade(bytesOf(joiner.upg));
  const ofInitiator = decodeInitiatorUpgrade(bytesOf(initiator.upg));
  assert(ofJoiner.ok && ofInitiator.ok);
  assertEquals(encodeBase64(encodeJoinerUpgrade(ofJoiner.upgrade)), joiner.upg);
  assertEquals(encodeBase64(encodeInitiatorUpgrade(ofInitiator.upgrade)), initiator.upg);
  const transcript = await transcriptHash({
    invitation: texts.invitation,
    acceptedKey: texts.acceptedKey,
    joinerHelloKey: texts.joinerHello,
    joinerHelloExtensions: texts.joinerHelloExt,
    replyQueue: texts.joinerReply,
    replyExtensions: texts.joinerReplyExt,
    initiatorKey: texts.initiatorKey,
    initiatorHelloKey: texts.initiatorHello,
    initiatorHelloExtensions: texts.initiatorHelloExt,
    joinerUpgrade: bytesOf(joiner.upg),
    initiatorUpgrade: bytesOf(initiator.upg),
  });
  assertEquals(encodeBase64(transcript), expected.transcript);
  const { pair, ciphertext } = ofInitiator.upgrade;
  const sessions = {
    joiner: await joinerSession(joinerPair, { initiator: pair, ciphertext, transcript }),
    initiator: await initiatorSession(offer, { joiner: ofJoiner.upgrade.pair, transcript }),
  };
  assert(sessions.joiner !== null && sessions.initiator !== null);
  for (const { state, safetyCode, repairKey } of [sessions.joiner, sessions.initiator]) {
    assertEquals(encodeBase64(state.rootKey), expected.root);
    assertEquals(encodeBase64(repairKey), expected.repairKey);
    assertEquals(safetyCode, expected.safetyCode);
  }
  return { joiner: sessions.joiner.state, initiator: sessions.initiator.state };
}

interface Event {
  readonly op: string;
  readonly by: string;
  readonly index?: number;
  readonly count?: number;
  readonly random?: readonly string[];
  readonly plaintext?: string;
  readonly message?: string;
  readonly rootKey?: string;
  readonly nextChainKey?: string;
  readonly time?: number;
  readonly refused?: string;
  readonly skipped?: number;
}

/** The two sides of a conversation that vectors tell. */
class Conversation {
  readonly sent = new Map<number, Bytes>();

  constructor(readonly states: Record<Name, RatchetState>) {}

  async happen(event: Event): Promise<void> {
    const by = event.by as Name;
    if (event.op === "encrypt") await this.#encrypt(by, event);
    else if (event.op === "decrypt") await this.#decrypt(by, event);
    else {
      assertEquals(event.op, "lose");
      for (let i = 0; i < event.count!; i++) await this.#send(by, new Uint8Array(0), randomBytes);
    }
  }

  async #send(by: Name, plaintext: Bytes, random: RandomSource): Promise<Bytes> {
    const encrypted = await ratchetEncrypt(this.states[by], plaintext, random);
    assert(encrypted.ok);
    this.states[by] = encrypted.state;
    return encrypted.message;
  }

  async #encrypt(by: Name, event: Event): Promise<void> {
    const random = given(event.random!);
    const message = await this.#send(by, bytesOf(event.plaintext!), random);
    assertEquals([random.left(), encodeBase64(message)], [0, event.message!]);
    const { rootKey, turn } = this.states[by];
    assert(turn.side === "other" && turn.sending !== null);
    assertEquals(encodeBase64(rootKey), event.rootKey!);
    assertEquals(encodeBase64(turn.sending.chainKey), event.nextChainKey!);
    this.sent.set(event.index!, message);
  }

  async #decrypt(by: Name, { index, time, refused, plaintext, skipped }: Event): Promise<void> {
    const decrypted = await ratchetDecrypt(this.states[by], this.sent.get(index!)!, time!);
    if (refused !== undefined) assertEquals(decrypted, { ok: false, code: codeOf(refused) });
    else {
      assert(decrypted.ok, `${index}`);
      assertEquals(encodeBase64(decrypted.plaintext), plaintext!);
      this.states[by] = decrypted.state;
    }
    assertEquals(this.states[by].skipped.length, skipped!, `${index}`);
  }
}

/** What this library calls a reason of the vectors. */
function codeOf(reason: string) {
  return reason.toUpperCase().replaceAll(" ", "_") as "DAMAGED";
}

Deno.test("The upgrade of the vectors makes their session on both sides", { permissions }, async () => {
  await firstStates();
});

Deno.test("UPGs of the vectors that must be refused are", { permissions }, async () => {
  const { joiner } = vectors.upgrade;
  const joinerPair = await generateRatchetPair(given(joiner.random));
  for (const { name, role, upg, refused } of vectors.upgrade.hostile) {
    const bytes = bytesOf(upg);
    const ofJoiner = decodeJoinerUpgrade(bytes), ofInitiator = decodeInitiatorUpgrade(bytes);
    if (refused !== "DH key") {
      const decoded = role === "joiner" ? ofJoiner : ofInitiator;
      assertEquals(decoded, { ok: false, code: refused === "version" ? "VERSION" : "MALFORMED" }, name);
      continue;
    }
    assert(role === "initiator" && ofInitiator.ok);
    const { pair, ciphertext } = ofInitiator.upgrade;
    const transcript = new Uint8Array(32);
    assertEquals(await joinerSession(joinerPair, { initiator: pair, ciphertext, transcript }), null, name);
  }
});

Deno.test("The conversation of the vectors goes as they say, byte for byte", { permissions }, async () => {
  const { events, hostile, hostileBefore } = vectors.conversation;
  const first = await firstStates();
  const conversation = new Conversation({ ...first });
  for (const event of events.slice(0, hostileBefore)) await conversation.happen(event);
  const refuse = async (when: "first" | "last" | undefined, states: Record<Name, RatchetState>) => {
    const expected = hostile.filter(({ state }) => state === when);
    assert(expected.length > 0);
    for (const { name, by, message, refused } of expected) {
      const decrypted = await ratchetDecrypt(states[by as Name], bytesOf(message), 1767225600000);
      assertEquals(decrypted, { ok: false, code: codeOf(refused) }, name);
    }
  };
  await refuse("first", first);
  await refuse(undefined, conversation.states);
  for (const event of events.slice(hostileBefore)) await conversation.happen(event);
  await refuse("last", conversation.states);
});

Deno.test("The gaps of the vectors are kept and dropped as they say", { permissions }, async () => {
  const conversation = new Conversation(await firstStates());
  for (const event of vectors.gaps.events) await conversation.happen(event);
});

type VectorRoute = typeof vectors.routes.right[number]["route"];

function routeOf({ id, server, senderId, p, q, key, blockSize }: VectorRoute): RouteRecord {
  return {
    routeId: bytesOf(id),
    server,
    senderId: bytesOf(senderId),
    p: bytesOf(p),
    q: bytesOf(q),
    routeKey: bytesOf(key),
    blockSize,
  };
}

Deno.test("Route records are those of the vectors", { permissions }, () => {
  for (const { route, record } of vectors.routes.right) {
    assertEquals(encodeBase64(encodeRouteRecord(routeOf(route))), record);
    assertEquals(decodeRouteRecord(bytesOf(record)), routeOf(route));
  }
  for (const { name, bytes } of vectors.routes.hostile) {
    assertEquals(decodeRouteRecord(bytesOf(bytes)), null, name);
  }
});

/** A packet with the zeros that vectors leave out. */
function padded(bytes: string, blockSize: number): Bytes {
  const packet = new Uint8Array(packetLength(blockSize));
  packet.set(bytesOf(bytes));
  return packet;
}

const upgraded = decodeJoinerUpgrade(bytesOf(vectors.upgrade.joiner.upg));
assert(upgraded.ok);
const { route } = upgraded.upgrade;
const secrets = { ...route, senderId: encodeBase64(route.senderId) };

Deno.test("Packets and bodies are those of the vectors", { permissions }, async () => {
  for (const { message, packets } of vectors.packets.sent) {
    const made = await splitMessage(bytesOf(message), route.blockSize);
    assertEquals(made.length, packets.length);
    for (const [i, { random, packet, body }] of packets.entries()) {
      assertEquals(made[i], padded(packet, route.blockSize));
      assertEquals(encodeBase64(await sealPacket(made[i]!, secrets, given(random))), body);
      assertEquals(await openPacket(bytesOf(body), secrets), decodePacket(made[i]!));
    }
  }
  const body = bytesOf(vectors.packets.sent[0]!.packets[0]!.body);
  for (const { name, refused, remove, flip, senderId } of vectors.packets.hostileBodies) {
    const changed = remove !== undefined ? body.slice(0, -remove) : body.slice();
    if (flip !== undefined) changed[flip]! ^= 1;
    const opened = await openPacket(changed, { ...secrets, senderId: senderId ?? secrets.senderId });
    assertEquals(opened, { ok: false, code: refused === "size" ? "LENGTH" : "DAMAGED" }, name);
  }
  for (const { name, bytes, refused } of vectors.packets.hostilePackets) {
    const decoded = decodePacket(padded(bytes, route.blockSize));
    assert(!decoded.ok, name);
    const codes: Record<string, string> = { index: "PIECE", count: "PIECE", total: "PIECE" };
    const code = name.includes("over 4 MiB") ? "LARGE" : codes[refused] ?? refused.toUpperCase();
    assertEquals(decoded.code, code, name);
  }
});

Deno.test("Pieces become messages as the vectors say", { permissions }, async () => {
  const { pieces, scenarios } = vectors.packets.reassembly;
  for (const { name, steps } of scenarios) {
    let reassembly = emptyReassembly;
    for (const { piece, ...expected } of steps) {
      const decoded = decodePacket(padded(pieces[piece]!, route.blockSize));
      assert(decoded.ok && decoded.packet.type === "piece");
      const outcome = await addPiece(reassembly, decoded.packet, { route: "route", now: 0 });
      reassembly = outcome.reassembly;
      const type = outcome.type === "repeated"
        ? "kept"
        : outcome.type !== "refused"
        ? outcome.type
        : outcome.code === "TAG"
        ? "dropped"
        : outcome.code.toLowerCase();
      assertEquals(type, "outcome" in expected ? expected.outcome : expected.refused, name);
    }
  }
});

type VectorFrame = typeof vectors.frames.right[number]["frame"];

function frameOf(frame: VectorFrame): Frame {
  return { ...contentOf(frame), number: frame.number, time: frame.time };
}

function contentOf(frame: VectorFrame): FrameContent {
  switch (frame.kind) {
    case "message": {
      const { userNumber, previousHash, body } = frame;
      return {
        kind: "message",
        userNumber: userNumber!,
        previousHash: bytesOf(previousHash!),
        body: bytesOf(body!),
      };
    }
    case "receipt":
      return { kind: "receipt", stored: setOf(frame.stored!), acknowledged: setOf(frame.acknowledged!) };
    case "routeAdd": {
      const { replaces } = frame as { replaces: string | null };
      const route = routeOf(frame.route!);
      return {
        kind: "route add",
        route,
        replaces: replaces === null ? null : bytesOf(replaces),
        lost: frame.isLost!,
      };
    }
    case "routeOk":
      return { kind: "route ok", routeId: bytesOf(frame.routeId!) };
    case "routeEnd":
      return { kind: "route end", routeId: bytesOf(frame.routeId!) };
    case "routeRefused":
      return { kind: "route refused", routeId: bytesOf(frame.routeId!), reason: frame.reason! };
    case "skip":
      return { kind: "skip", from: frame.from!, to: frame.to! };
    case "ready":
      return { kind: "ready", kinds: frame.kinds! };
    case "last":
      return { kind: "last", userNumber: frame.userNumber! };
    case "close":
      return { kind: "close" };
    case "digest":
      return { kind: "digest", digest: bytesOf(frame.digest!) };
    default:
      return { kind: "unknown", kindNumber: frame.code!, content: bytesOf(frame.content!) };
  }
}

type VectorSet = { readonly upTo: number; readonly ranges: { readonly from: number; readonly to: number }[] };

function setOf({ upTo, ranges }: VectorSet): NumberSet {
  return { upTo, ranges: ranges.map(({ from, to }) => [from, to] as const) };
}

Deno.test("Frames are those of the vectors", { permissions }, async () => {
  const frames: Frame[] = [];
  for (const { frame, bytes, ...of } of vectors.frames.right) {
    const ours = frameOf(frame);
    frames.push(ours);
    assertEquals(encodeBase64(encodeFrame(ours)), bytes, frame.kind);
    assertEquals(decodeFrames(bytesOf(bytes)), { ok: true, frames: [ours] });
    if (ours.kind === "message") assertEquals(encodeBase64(await messageHash(ours)), of.hash);
  }
  assertEquals(decodeFrames(bytesOf(vectors.frames.several)), { ok: true, frames });
  for (const { name, bytes } of vectors.frames.hostile) {
    assertEquals(decodeFrames(bytesOf(bytes)).ok, false, name);
  }
  const { frame, most } = vectors.frames.repeated;
  const repeated = (count: number) => joinParts(Array.from({ length: count }, () => bytesOf(frame)));
  assertEquals(decodeFrames(repeated(most)).ok, true);
  assertEquals(decodeFrames(repeated(most + 1)), { ok: false, code: "FRAMES" });
});
