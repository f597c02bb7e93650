// Sessions of agents (docs/protocol.md, Repair): what a side that tells digests says to have a session anew, and what it makes
// of what the other one says. Part of an implementation that is independent of this project's, see session.mjs.

import { digestOf, joined, toldOf } from "./session_digest.mjs";
import { hashOfMessage, parseFrames } from "./session_frames.mjs";
import { makePair, sha256 } from "./session_keys.mjs";
import { startRatchet } from "./session_ratchet.mjs";
import { readRepairPacket, repairedRoot, repairPacket, repairTranscript } from "./session_repair.mjs";
import { decapsulateFirst, encapsulateFirst, safetyCode } from "./session_upgrade.mjs";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const AGAIN = 10_000;
const IDS_LIMIT = 16;
const WINDOW = 512;

export class SideRepair {
  #kit;
  #role;
  #key;
  #clock;

  constructor({ kit, role, repairKey, clock }) {
    this.#kit = kit;
    this.#role = role;
    this.#key = repairKey;
    this.#clock = clock;
  }

  /** What is kept of repairs when there was none. */
  begin(safetyCode) {
    return { stage: null, asked: 0, called: 0, doneAt: null, ids: [], safetyCode, isDue: false };
  }

  /** After a restart a call or an ask may be one of a backup, and is begun anew. */
  restarted(repair) {
    const { stage } = repair;
    if (stage?.type === "called" || stage?.type === "asked") repair.stage = { ...stage, isOld: true };
  }

  /** The other side does not have what this one has sent, or cannot be understood. */
  beginDue(state) {
    state.repair.isDue = true;
    return this.look(state);
  }

  /** What is to be said by now. */
  look(state) {
    const { repair } = state, { stage } = repair, { now } = this.#clock;
    const isWaiting = stage !== null && stage.type !== "begun";
    const isAgreed = stage?.type === "offered" || stage?.type === "answered";
    const isOld = stage?.isOld || now - stage?.since >= (isAgreed ? DAY : HOUR);
    if (isWaiting && !isOld) {
      if (now - stage.saidAt < AGAIN) return {};
      stage.saidAt = now;
      return { packets: [stage.said] };
    }
    if (!this.#may(repair) || !isWaiting && !repair.isDue) return {};
    return this.#begin(state);
  }

  hear(state, content) {
    const { repair } = state, { stage } = repair;
    const before = this.#before(stage, content[0]);
    const heard = before && readRepairPacket(content, { repairKey: this.#key, before });
    if (heard === null) return this.#unknown(state, content);
    if (heard.refused !== undefined) return {};
    const isOfJoiner = heard.step === "call" || heard.step === "offer";
    if (isOfJoiner === (this.#role === "joiner")) return {};
    switch (heard.step) {
      case "call":
        return this.#hearCall(state, heard);
      case "ask":
        return this.#hearAsk(state, heard);
      case "offer":
        return this.#hearOffer(state, heard);
      default:
        return this.#hearAnswer(state, heard);
    }
  }

  /** The packets before one of a step; `null`: it belongs to nothing that is waited for. */
  #before(stage, code) {
    if (code === 2 || code === 5) return stage?.ask === undefined ? null : [stage.ask];
    if (code === 3) return stage?.offer === undefined ? null : [stage.ask, stage.offer];
    return [];
  }

  /** An offer or answer that nobody waits for: of a repair that another life of this side has begun, if its ID is new. */
  #unknown(state, content) {
    const id = content.subarray(1, 17).toString("hex");
    const { repair } = state, { stage } = repair;
    const isWaiting = stage !== null && stage.type !== "begun";
    return repair.ids.includes(id) || isWaiting ? {} : this.beginDue(state);
  }

  #may({ doneAt }) {
    return doneAt === null || this.#clock.now - doneAt >= HOUR;
  }

  #begin(state) {
    const { repair } = state;
    if (this.#role === "initiator") return this.#ask(state);
    repair.called = Math.max(this.#clock.now, repair.called + 1);
    const call = { time: repair.called, id: this.#kit.random(16), asked: repair.asked };
    return this.#say(repair, { type: "called", said: this.#packet("call", call) });
  }

  #ask(state) {
    const { repair } = state;
    repair.asked = Math.max(this.#clock.now, repair.asked + 1);
    const id = this.#kit.random(16);
    const said = this.#packet("ask", { time: repair.asked, id, ...accountOf(state) });
    repair.ids = [...repair.ids, id.toString("hex")].slice(-IDS_LIMIT);
    return this.#say(repair, { type: "asked", said, ask: said });
  }

  #hearCall(state, { said }) {
    const { repair } = state;
    if (said.time <= repair.called || !this.#may(repair)) return {};
    repair.called = said.time;
    if (repair.stage?.type === "asked") return this.#say(repair, repair.stage);
    repair.asked = Math.max(repair.asked, said.asked);
    return this.#ask(state);
  }

  #hearAsk(state, { said, bytes }) {
    const { repair } = state, { stage } = repair;
    if (said.time <= repair.asked) {
      return stage?.type === "offered" && stage.ask.equals(bytes) ? this.#say(repair, stage) : {};
    }
    const isAlone = stage?.type === "begun" && state.ratchet.receiving === null;
    if (!this.#may(repair) && !isAlone) return {};
    repair.asked = said.time;
    repair.ids = [...repair.ids, said.id.toString("hex")].slice(-IDS_LIMIT);
    const pair = makePair(this.#kit), plan = planOf(state, said);
    const offer = this.#packet("offer", {
      ...{ id: said.id, publicPair: pair.public, ...accountOf(state), rest: restOf(state, plan) },
    }, [bytes]);
    const { account, told } = said;
    return this.#say(repair, { type: "offered", said: offer, ask: bytes, offer, pair, plan, account, told });
  }

  #hearOffer(state, { said, bytes }) {
    const { repair } = state, { stage } = repair;
    if (stage.type === "answered" && stage.offer.equals(bytes)) return this.#say(repair, stage);
    if (isStale(state, this.#read(stage.ask), said)) return this.#ask(state);
    const pair = makePair(this.#kit), plan = planOf(state, said);
    const { ciphertext, secret } = encapsulateFirst(this.#kit, said.publicPair);
    const before = [stage.ask, bytes];
    const own = { id: said.id, publicPair: pair.public, ciphertext, rest: restOf(state, plan) };
    const answer = this.#packet("answer", own, before);
    const begun = this.#begun({ ask: stage.ask, offer: bytes, answer }, {
      ...{ kemSecret: secret, pair, other: said.publicPair },
    });
    const { account, told, rest } = said;
    const next = { type: "answered", said: answer, ask: stage.ask, offer: bytes, plan, account, told, rest };
    return this.#say(repair, { ...next, ...begun, next: null });
  }

  #hearAnswer(state, { said, bytes }) {
    const { stage } = state.repair;
    if (stage.type === "begun") return { isReceiptDue: stage.answer.equals(bytes) };
    if (isStale(state, this.#read(stage.offer, [stage.ask]), said)) return this.#begin(state);
    const { ask, offer, pair, plan, account, told } = stage;
    const kemSecret = decapsulateFirst(this.#kit, said.ciphertext, pair);
    const made = this.#begun({ ask, offer, answer: bytes }, { kemSecret, pair, other: said.publicPair });
    const next = { type: "begun", answer: bytes, ask, offer };
    return { begun: { ...made, plan, account, told, rest: said.rest, next } };
  }

  #begun(packets, { kemSecret, pair, other }) {
    const transcript = repairTranscript(packets);
    const repairKey = this.#key;
    const root = repairedRoot({ transcript, kemSecret, ownPair: pair, otherPublic: other, repairKey });
    const ratchet = startRatchet({ role: this.#role, transcript, root, pair, other });
    return { ratchet, safetyCode: safetyCode(root) };
  }

  #packet(step, said, before = []) {
    return repairPacket(step, said, { repairKey: this.#key, before });
  }

  #read(packet, before = []) {
    return readRepairPacket(packet, { repairKey: this.#key, before }).said;
  }

  #say(repair, stage) {
    const { now } = this.#clock;
    repair.stage = { since: now, ...stage, saidAt: now };
    repair.isDue = false;
    return { packets: [stage.said] };
  }
}

/** What a side has, and what is told of frames, if all of it can be. */
function accountOf({ stored, storedDigest, held, lastHad }) {
  const window = windowOf(stored), greatest = Math.max(0, ...stored);
  let { number: user, hash } = lastHad;
  for (const bytes of held.values()) {
    const frame = parseFrames(bytes).frames[0];
    if (frame.kind !== "message" || frame.userNumber <= user) continue;
    user = frame.userNumber;
    hash = hashOfMessage(frame);
  }
  const account = { stored: window, greatest, user, hash };
  return greatest > window.upTo + WINDOW
    ? { account }
    : { account, told: toldOf({ stored: window, frames: held, digest: storedDigest }) };
}

function restOf({ told }, { kept, next }) {
  return { receipted: windowOf(told), kept, next };
}

/** Whether this side has something that it had not told, or that the other one has not reckoned with. */
function isStale(state, said, { rest }) {
  const now = accountOf(state);
  const text = ({ account: { stored, greatest, user }, told }) =>
    JSON.stringify([stored, greatest, user, told?.digest.toString("hex")]);
  return text(now) !== text(said) || now.account.greatest > rest.next;
}

/** What becomes of a side's numbers; `base`: the user message after which those that get new numbers come. */
function planOf(state, { account, told }) {
  const { sent, told: receipted, lastNumber, lastUser, base } = state;
  const numbers = [...Array.from({ length: account.stored.upTo }, (_, i) => i + 1), ...account.stored.others];
  const news = numbers.filter((number) => !receipted.has(number));
  const isBehind = [...receipted].some((number) => !numbers.includes(number));
  const last = Math.max(lastNumber, ...receipted), { upTo } = windowOf(receipted);
  const left = [...sent].filter(([number]) => !receipted.has(number)).sort(([a], [b]) => a - b);
  /** The last message before the first frame beyond a number. */
  const messageBefore = (most) => {
    const frames = left.filter(([number]) => number > most).map(([, bytes]) => parseFrames(bytes).frames[0]);
    const first = frames.find(({ kind }) => kind === "message");
    return first === undefined ? lastUser : { number: first.userNumber - 1, hash: first.previousHash };
  };
  const known = messageBefore(Math.max(...receipted)), before = messageBefore(upTo);
  const same = { kept: lastNumber, next: lastNumber, base: null };
  const isBeyond = account.user > known.number ||
    account.user === known.number && !account.hash.equals(known.hash);
  if (account.greatest <= last && !(news.length === 0 && isBeyond)) {
    if (isBehind) {
      const names = new Map(account.stored.others.map((number, at) => [number, told?.names[at]]));
      const isSent = (number) => {
        const frame = sent.get(number), name = names.get(number);
        return frame !== undefined && name !== undefined && sha256(frame).subarray(0, 8).equals(name);
      };
      if (news.every(isSent)) return { ...same, isUnsure: true };
    } else if (told !== undefined && account.user <= lastUser.number) {
      const later = news.filter((number) => !base.numbers.has(number));
      const frames = later.map((number) => sent.get(number));
      const digest = receiptedDigest(state);
      if (!frames.includes(undefined) && joined(digest, digestOf(frames)).equals(told.digest)) return same;
    }
  }
  const next = Math.max(last, account.stored.upTo + 1000, account.greatest + 500);
  const least = [...receipted].some((number) => number > upTo) ? lastUser : before;
  const of = account.user >= least.number ? { number: account.user, hash: account.hash } : least;
  return { kept: upTo, next, base: of, isUnsure: true };
}

/** The digest of what was told to be stored. */
function receiptedDigest({ sent, told, base }) {
  const later = [...told].filter((number) => !base.numbers.has(number));
  return joined(base.digest, digestOf(later.map((number) => sent.get(number))));
}

function windowOf(numbers) {
  let upTo = 0;
  while (numbers.has(upTo + 1)) upTo++;
  const others = [...numbers].filter((number) => number > upTo && number <= upTo + WINDOW);
  return { upTo, others: others.sort((a, b) => a - b) };
}
