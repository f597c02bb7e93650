// Sessions of agents (docs/protocol.md, What is done with frames): one side of a session between agents that tell digests, by
// one route and without servers. It keeps all that it has sent. Part of an implementation that is independent of this
// project's, see session.mjs.

import { Buffer } from "node:buffer";
import { digestOf, joined, judgeReceipt } from "./session_digest.mjs";
import { encodeFrame, hashOfMessage, parseFrames } from "./session_frames.mjs";
import { decrypt, encrypt } from "./session_ratchet.mjs";
import { SideRepair } from "./session_side_repair.mjs";

const FORMER_LIMIT = 4;
/** User messages of the other side that come up to so many numbers after a repair's `next` may be copies. */
const COPIES_AFTER = 500;

export class SessionSide {
  /** Packets that it sends, in their order: `{ type: "message", message }` or `{ type: "repair", content }`. */
  outbox = [];
  /** What its program was told, in order. */
  had = [];
  /** What has come, also what waits for something before it. */
  came = new Set();
  /** What it tells that the other side's program has acknowledged. */
  delivered = [];
  repairs = 0;
  #kit;
  #clock;
  #state;
  #repair;

  /** Both sides have the other's `ready`, of which their digests know nothing. */
  constructor({ kit, role, ratchet, repairKey, safetyCode, clock }) {
    this.#kit = kit;
    this.#clock = clock;
    this.#repair = new SideRepair({ kit, role, repairKey, clock });
    this.#state = {
      ratchet,
      // What it sends: the bytes of each frame by number, and the messages they were encrypted to.
      sent: new Map(),
      messages: new Map(),
      lastNumber: 1,
      lastUser: { number: 0, hash: Buffer.alloc(32) },
      told: new Set([1]),
      base: { numbers: new Set([1]), digest: Buffer.alloc(16) },
      delivered: new Set(),
      lastTime: 0,
      // What it has: numbers, the frames that wait for others, user messages.
      stored: new Set([1]),
      storedDigest: Buffer.alloc(16),
      held: new Map(),
      users: [],
      lastHad: { number: 0, hash: Buffer.alloc(32) },
      acknowledged: new Set(),
      copies: null,
      // Messages that were decrypted, by chain and number; sessions before; whether the other side is another one.
      decrypted: new Map(),
      former: [],
      isOther: false,
      isReceiptDue: false,
      repair: this.#repair.begin(safetyCode),
    };
  }

  /** A copy of all that it keeps, as of a database. */
  backup() {
    return copyOf(this.#state);
  }

  restore(backup) {
    this.#state = copyOf(backup);
    this.#repair.restarted(this.#state.repair);
  }

  /** Whether all that it has sent was told to be stored, and it has nothing to say. */
  get isAtRest() {
    const { told, lastNumber, isReceiptDue, repair } = this.#state;
    for (let number = 1; number <= lastNumber; number++) if (!told.has(number)) return false;
    return !isReceiptDue && (repair.stage === null || repair.stage.type === "begun");
  }

  get safetyCode() {
    return this.#state.repair.safetyCode;
  }

  send(text) {
    const state = this.#state;
    const number = ++state.lastNumber;
    const time = state.lastTime = Math.max(this.#clock.now, state.lastTime + 1);
    const message = {
      ...{ kind: "message", number, time, userNumber: state.lastUser.number + 1 },
      ...{ previousHash: state.lastUser.hash, body: Buffer.from(text) },
    };
    state.lastUser = { number: message.userNumber, hash: hashOfMessage(message) };
    state.sent.set(number, encodeFrame(message));
    this.repeat();
  }

  /** Sends all frames without receipt. */
  repeat() {
    const { sent, messages, told } = this.#state;
    for (const [number, frame] of [...sent].sort(([a], [b]) => a - b)) {
      if (told.has(number)) continue;
      if (!messages.has(number)) {
        const message = this.#encrypt(frame);
        if (message === null) return;
        messages.set(number, message);
      }
      this.outbox.push({ type: "message", message: messages.get(number) });
    }
  }

  /** Tells what it has, if that is due. */
  tell() {
    const state = this.#state;
    const { stage } = state.repair;
    if (!state.isReceiptDue || stage !== null && stage.type !== "begun") return;
    const common = { number: 0, time: this.#clock.now };
    const receipt = {
      ...{ kind: "receipt", stored: progressOf(state.stored), acknowledged: progressOf(state.acknowledged) },
      ...common,
    };
    const digest = { kind: "digest", digest: state.storedDigest, ...common };
    const message = this.#encrypt(Buffer.concat([receipt, digest].map(encodeFrame)));
    if (message === null) return;
    this.outbox.push({ type: "message", message });
    state.isReceiptDue = false;
  }

  /** What is due by the clock. */
  look() {
    this.#say(this.#repair.look(this.#state));
  }

  receive(packet) {
    if (packet.type === "message") this.#decrypt(Buffer.from(packet.message));
    else this.#say(this.#repair.hear(this.#state, Buffer.from(packet.content)));
  }

  #encrypt(plaintext) {
    const result = encrypt(this.#kit, this.#state.ratchet, plaintext);
    if (result.refused !== undefined) return null;
    this.#state.ratchet = result.state;
    return result.message;
  }

  #decrypt(message) {
    const state = this.#state;
    const { stage } = state.repair;
    if (stage?.type === "answered") {
      // Nothing more is read in the old session.
      const result = decrypt(this.#kit, stage.ratchet, message, this.#clock.now);
      if (result.refused !== undefined) return;
      this.#take(stage);
    } else if (state.isOther) return;
    const result = decrypt(this.#kit, state.ratchet, message, this.#clock.now);
    const place = message.subarray(25, 65).toString("hex"), tag = message.subarray(-16).toString("hex");
    if (result.refused !== undefined) {
      if (state.former.some((name) => name === message.subarray(1, 9).toString("hex"))) {
        state.isReceiptDue = true;
      } else if (result.refused === "used" && (state.decrypted.get(place) ?? tag) === tag) {
        state.isReceiptDue = true;
      } else {
        if (["used", "rewound"].includes(result.refused)) state.isOther = true;
        this.#begin();
      }
      return;
    }
    state.decrypted.set(place, tag);
    state.ratchet = result.state;
    const { frames } = parseFrames(result.plaintext);
    for (const [at, frame] of (frames ?? []).entries()) {
      if (frame.kind === "receipt") this.#receipt(frame, frames[at + 1]);
      else if (frame.number !== 0) this.#frame(frame);
    }
    if (!state.messages.has(state.lastNumber)) this.repeat();
  }

  #receipt({ stored, acknowledged }, next) {
    const state = this.#state;
    const { stage } = state.repair;
    if (next?.kind !== "digest" || stage !== null && stage.type !== "begun") return;
    const verdict = judgeReceipt({ stored, digest: next.digest }, state);
    if (verdict === "other") this.#begin();
    if (verdict !== "believed") return;
    for (const number of numbersIn(stored)) state.told.add(number);
    for (const number of numbersIn(acknowledged)) {
      if (state.delivered.has(number)) continue;
      state.delivered.add(number);
      const found = [...state.sent.values()].map(contentOf).find(({ userNumber }) => userNumber === number);
      if (found !== undefined) this.delivered.push(found.body.toString());
    }
  }

  #frame(frame) {
    const state = this.#state;
    const bytes = encodeFrame(frame);
    if (state.stored.has(frame.number)) {
      if (this.#isAnother(frame, bytes)) {
        state.isOther = true;
        this.#begin();
      }
      state.isReceiptDue = true;
      return;
    }
    if (frame.kind === "message") this.came.add(frame.body.toString());
    state.stored.add(frame.number);
    state.storedDigest = joined(state.storedDigest, digestOf([bytes]));
    state.held.set(frame.number, bytes);
    state.isReceiptDue = true;
    this.#apply();
  }

  #isAnother(frame, bytes) {
    const { held, users, lastHad } = this.#state;
    if (held.has(frame.number)) return !held.get(frame.number).equals(bytes);
    if (frame.userNumber > lastHad.number) return true;
    const known = users.find(({ number }) => number === frame.userNumber);
    return known !== undefined && (known.time !== frame.time || known.text !== frame.body.toString());
  }

  /** Frames whose turn it is. */
  #apply() {
    const state = this.#state;
    const { upTo } = progressOf(state.stored);
    for (const [number, bytes] of [...state.held].sort(([a], [b]) => a - b)) {
      if (number > upTo) return;
      state.held.delete(number);
      const frame = contentOf(bytes);
      if (frame.kind === "message") this.#message(frame);
    }
  }

  #message(frame) {
    const state = this.#state;
    const { userNumber: number, time, body } = frame;
    if (number > state.lastHad.number) state.lastHad = { number, hash: hashOfMessage(frame) };
    const text = body.toString();
    const isEarly = state.copies !== null && frame.number <= state.copies.next + COPIES_AFTER;
    const known = isEarly &&
      state.users.find((user) => state.copies.left.has(user.id) && user.time === time && user.text === text);
    state.acknowledged.add(number);
    if (known) {
      state.copies.left.delete(known.id);
      known.number = number;
      return;
    }
    state.users.push({ id: state.users.length, number, time, text });
    this.had.push(text);
  }

  #begin() {
    this.#say(this.#repair.beginDue(this.#state));
  }

  /** What the repair makes of what has come: packets that are said, and a session that takes the place of this one. */
  #say({ packets = [], begun = null, isReceiptDue = false } = {}) {
    if (begun !== null) this.#take(begun);
    if (isReceiptDue) this.#state.isReceiptDue = true;
    for (const content of packets) this.outbox.push({ type: "repair", content });
    if (begun !== null) this.tell();
  }

  #take({ ratchet, plan, account, told, rest, safetyCode, next }) {
    const state = this.#state;
    const { kept, next: own, base } = plan;
    state.former = [...state.former, state.ratchet.transcript.subarray(0, 8).toString("hex")].slice(
      -FORMER_LIMIT,
    );
    state.ratchet = ratchet;
    state.messages = new Map();
    if (base !== null) this.#renumber(plan);
    if (plan.isUnsure) this.#doubt();
    for (const number of windowNumbers(account.stored)) state.told.add(number);
    for (let number = kept + 1; number <= own; number++) state.told.add(number);
    state.base = { numbers: new Set(state.told), digest: told?.digest ?? Buffer.alloc(16) };
    for (const number of windowNumbers(rest.receipted)) state.stored.add(number);
    for (let number = rest.kept + 1; number <= rest.next; number++) state.stored.add(number);
    this.#apply();
    state.copies = { next: rest.next, left: new Set(state.users.map(({ id }) => id)) };
    Object.assign(state, { isOther: false, isReceiptDue: true, decrypted: new Map() });
    Object.assign(state.repair, { stage: next, doneAt: this.#clock.now, safetyCode });
    this.repairs++;
    this.repeat();
  }

  /** Of what has a receipt the other side may have something else: nothing more is told of it. */
  #doubt() {
    const { sent, told, delivered, lastUser } = this.#state;
    const left = [...sent].filter(([number]) => !told.has(number)).map(([, bytes]) =>
      contentOf(bytes).userNumber
    );
    for (let user = 1; user <= lastUser.number; user++) if (!left.includes(user)) delivered.add(user);
  }

  /** Frames after `kept` get numbers after `next`, and user messages those after what the other side has. */
  #renumber({ kept, next, base }) {
    const state = this.#state;
    const later = [...state.sent].filter(([number]) => number > kept && !state.told.has(number))
      .sort(([a], [b]) => a - b);
    for (const [number] of later) state.sent.delete(number);
    let last = base, number = next;
    for (const [, bytes] of later) {
      const frame = contentOf(bytes);
      const changed = { ...frame, number: ++number, userNumber: last.number + 1, previousHash: last.hash };
      last = { number: changed.userNumber, hash: hashOfMessage(changed) };
      state.sent.set(number, encodeFrame(changed));
    }
    state.lastNumber = number;
    state.lastUser = last;
  }
}

/** The frame of its bytes. */
export function contentOf(bytes) {
  return parseFrames(bytes).frames[0];
}

/** Numbers as a receipt tells them. */
export function progressOf(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), ranges = [];
  for (const number of sorted) {
    const last = ranges.at(-1);
    if (last?.to === number - 1) last.to = number;
    else ranges.push({ from: number, to: number });
  }
  return ranges[0]?.from === 1 ? { upTo: ranges[0].to, ranges: ranges.slice(1) } : { upTo: 0, ranges };
}

function numbersIn({ upTo, ranges }) {
  const all = [{ from: 1, to: upTo }, ...ranges];
  return all.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
}

/** The numbers of a window. */
export function windowNumbers({ upTo, others }) {
  return [...Array.from({ length: upTo }, (_, index) => index + 1), ...others];
}

/** Maps, sets, arrays and plain objects anew; bytes and ratchets are never changed in their place. */
function copyOf(value) {
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, copyOf(one)]));
  if (value instanceof Set) return new Set(value);
  if (Array.isArray(value)) return value.map(copyOf);
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, copyOf(one)]));
}
