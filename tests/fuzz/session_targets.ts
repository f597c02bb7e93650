import { assert, assertEquals } from "@std/assert";
import {
  addPiece,
  decodeFrames,
  decodeInitiatorUpgrade,
  decodeJoinerUpgrade,
  decodePacket,
  decodeRatchetState,
  emptyReassembly,
  encodeFrame,
  encodeInitiatorUpgrade,
  encodeJoinerUpgrade,
  encodeRatchetState,
  type Frame,
  isAuthenticRepair,
  isCredit,
  joinParts,
  messageTag,
  mostPieceBytes,
  mostUnfinished,
  openChunk,
  openPacket,
  packetLength,
  ratchetDecrypt,
  readRepair,
  readStreamHead,
  sealChunk,
  sealCredit,
  sealPacket,
  sealRepair,
  sha256,
  splitMessage,
} from "../../protocol/mod.ts";
import { newSessions, newSides, seededRandom } from "../support/ratchet.ts";
import { routeRecord } from "../support/route_record.ts";
import { streamContents } from "../support/stream_content.ts";
import vectors from "../vectors/ratchet.json" with { type: "json" };
import type { Target } from "./target.ts";

const { joiner, initiator } = await newSides(1);
const random = seededRandom(2);
const skipped = await joiner.send("skipped", random);
const known = await joiner.send("known", random);
await initiator.receive(known);
const firstAnswer = await initiator.send("answer", random);
const beforeAnswer = joiner.state;
await joiner.receive(firstAnswer);
const secondAnswer = await initiator.send("second answer", random);
const newChain = await joiner.send("new chain", random);
const receiving = [initiator.state, beforeAnswer, joiner.state];
const messages = [skipped, known, firstAnswer, secondAnswer, newChain].map((message) => message.toHex());
const storedStates = await Promise.all(receiving.map(encodeRatchetState));
const states = [...storedStates, await encodeRatchetState((await newSessions(3)).joiner.state)];

const route = { routeKey: random(32), senderId: "c2VuZGVy", blockSize: 4096 };
const [packet] = await splitMessage(secondAnswer, route.blockSize);
const body = await sealPacket(packet!, route, random);

const repairKey = Uint8Array.fromBase64(vectors.repair.repairKey);

/** Block size of routes whose packets have 64 bytes, so that an input has several. */
const tinyBlock = 476 + 64;
const head = { number: 1, time: 1_700_000_000_000 };
const routeId = random(8);
const set = { upTo: 4, ranges: [[6, 6], [8, 20]] as const };
const frames: readonly Frame[] = [
  { kind: "message", userNumber: 1, previousHash: random(32), body: random(20), ...head },
  { kind: "receipt", stored: set, acknowledged: { upTo: 0, ranges: [] }, number: 0, time: head.time },
  { kind: "route add", route: routeRecord(1), replaces: routeId, lost: true, ...head },
  { kind: "route ok", routeId, ...head },
  { kind: "route refused", routeId, reason: 1, ...head },
  { kind: "route end", routeId, ...head },
  { kind: "skip", from: 3, to: 5, ...head },
  { kind: "ready", kinds: [1, 2, 3], ...head },
  { kind: "last", userNumber: 7, ...head },
  { kind: "close", ...head },
  ...streamContents.map((content) => ({ ...content, ...head })),
  { kind: "unknown", kindNumber: 77, content: random(5), ...head },
];

const streamRun = { run: random(16), key: random(32), chunkSize: 20 };
const chunk = await sealChunk(random(12), streamRun, { number: 1, isLast: true, blockSize: tinyBlock });
const credit = await sealCredit(streamRun, { number: 1, blockSize: tinyBlock });

const { joiner: ofJoiner, initiator: ofInitiator } = await newSessions(1);
assert(ofJoiner.state.turn.side === "own" && ofInitiator.state.turn.side === "other");
const upgrade = { pair: ofJoiner.state.turn.remote, route: routeRecord(1) };

/** Without the zeros at the end: how many there are is a matter of the route. */
function trimmed(packet: Uint8Array): string {
  return packet.toHex().replace(/(00)+$/, "");
}

/** The same content with a check that is right. */
async function checked(state: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const content = state.slice(0, -8);
  return joinParts([content, (await sha256(content)).subarray(0, 8)]);
}

/** Everything in sessions between agents that takes bytes from a peer, and the ratchet's state. */
export const sessionTargets: readonly Target[] = [
  {
    name: "messages of a ratchet",
    seeds: messages.map((message) => Uint8Array.fromHex(message)),
    words: ["\0", "\x01", "\xff".repeat(4), "\0".repeat(32)],
    async run(input) {
      for (const [i, state] of receiving.entries()) {
        const decrypted = await ratchetDecrypt(state, input, 0);
        if (decrypted.ok) assert(messages.includes(input.toHex()), "a message was forged");
        else assert(/^[A-Z_]+$/.test(decrypted.code));
        assertEquals(await encodeRatchetState(state), storedStates[i]);
      }
    },
  },
  {
    name: "bodies of a route",
    seeds: [body],
    words: [],
    async run(input) {
      const opened = await openPacket(input, route);
      if (opened.ok) assertEquals(input, body);
    },
  },
  {
    name: "packets",
    seeds: [
      joinParts(await splitMessage(random(30), tinyBlock)),
      joinParts(await splitMessage(random(100), tinyBlock)),
      joinParts([...await splitMessage(random(80), tinyBlock), ...await splitMessage(random(90), tinyBlock)]),
    ],
    words: ["\0", "\x01", "\x02", "\x03", "\0\x40\0\0", "\xff\xff"],
    async run(input) {
      const length = packetLength(tinyBlock);
      let reassembly = emptyReassembly;
      for (let at = 0; at < input.length; at += length) {
        const decoded = decodePacket(input.slice(at, at + length));
        if (!decoded.ok || decoded.packet.type !== "piece") continue;
        const outcome = await addPiece(reassembly, decoded.packet, { route: "route", now: at });
        ({ reassembly } = outcome);
        if (outcome.type === "whole") assertEquals(await messageTag(outcome.message), decoded.packet.tag);
        const bytes = reassembly.unfinished.reduce((sum, message) => sum + message.bytes, 0);
        assert(bytes <= mostPieceBytes && reassembly.unfinished.length <= mostUnfinished);
      }
    },
  },
  {
    name: "what repairs a session",
    seeds: [...Object.values(vectors.repair.packets), ...Object.values(vectors.repair.told.packets)]
      .map((packet) => Uint8Array.fromBase64(packet)),
    words: ["\0", "\x01", "\x02", "\x03", "\0".repeat(64), "\xff".repeat(6)],
    async run(input) {
      const heard = readRepair(input);
      if (heard === null) return;
      const { bytes } = await sealRepair(heard.packet, { repairKey });
      assertEquals(bytes.subarray(0, -32), input.subarray(0, bytes.length - 32));
      assert(input.subarray(bytes.length).every((byte) => byte === 0));
      // That of a question, which follows nothing, is no one else's.
      if (heard.packet.step === "ask" && await isAuthenticRepair(heard, { repairKey })) {
        assertEquals(bytes, input.slice(0, bytes.length));
      }
    },
  },
  {
    name: "frames",
    seeds: [...frames.map(encodeFrame), joinParts(frames.map(encodeFrame))],
    words: ["\0\0\0\0\0\x01", "\0\0\0\0", "\xff".repeat(6), "\x01", "\x02", "\x03", "\x08"],
    run(input) {
      const decoded = decodeFrames(input);
      if (decoded.ok) assertEquals(joinParts(decoded.frames.map(encodeFrame)), input);
    },
  },
  {
    name: "packets of a stream",
    seeds: [chunk.slice(1), credit.slice(1)],
    words: ["\0", "\x01", "\x02"],
    async run(input) {
      const head = readStreamHead(input);
      if (head === null) return;
      const isKnown = [chunk, credit].some((packet) => trimmed(packet.slice(1)) === trimmed(input));
      if (head.type === "credit") assertEquals(await isCredit(input, streamRun), isKnown);
      else assertEquals(await openChunk(input, streamRun) !== null, isKnown);
    },
  },
  {
    name: "a joiner's upgrade",
    seeds: [encodeJoinerUpgrade(upgrade)],
    words: ["\x01", "\0\x04host", ":5223", "#"],
    run(input) {
      const decoded = decodeJoinerUpgrade(input);
      if (decoded.ok) assertEquals(encodeJoinerUpgrade(decoded.upgrade), input);
    },
  },
  {
    name: "an initiator's upgrade",
    seeds: [encodeInitiatorUpgrade({ ...upgrade, ciphertext: random(1088) })],
    words: ["\x01", "\0\x04host", ":5223", "#"],
    run(input) {
      const decoded = decodeInitiatorUpgrade(input);
      if (decoded.ok) assertEquals(encodeInitiatorUpgrade(decoded.upgrade), input);
    },
  },
  {
    name: "state of a ratchet",
    seeds: states,
    words: ["\0", "\x01", "\x02", "\0\x01", "\xff\xff"],
    async run(input) {
      assert(
        await decodeRatchetState(input) === null || states.some((state) => state.toHex() === input.toHex()),
      );
      const state = await decodeRatchetState(await checked(input));
      if (state !== null) assertEquals(await decodeRatchetState(await encodeRatchetState(state)), state);
    },
  },
];
