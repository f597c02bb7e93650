// The vectors of sessions (make_ratchet_vectors.mjs): a conversation after the upgrade, with loss and reordering, and
// messages that must be refused after it.

import { Buffer } from "node:buffer";
import { base64, FixedRandom, flipped, replaced } from "./ratchet_vectors_kit.mjs";
import { expectRefused } from "./ratchet_vectors_upgrade.mjs";
import { decrypt, encodeFrame, encrypt, HEADER_SIZE, SKIP_AGE_LIMIT, startRatchet } from "./session.mjs";
import { dhOf } from "./session_keys.mjs";

const START = Date.UTC(2026, 0, 1);
const DH_AT = 25;
const PREVIOUS_AT = 57;
const NUMBER_AT = 61;
const KEM_AT = 65;

/** Two sides, and the list of what they do. */
export class Conversation {
  events = [];
  messages = [];
  states;
  #random;
  #kit;

  constructor({ mlKem, upgrade, label }) {
    const { transcript, root, joinerPair, initiatorPair } = upgrade;
    this.#random = new FixedRandom(label);
    this.#kit = { mlKem, random: this.#random.bytes };
    this.states = {
      joiner: startRatchet({
        role: "joiner",
        transcript,
        root,
        pair: joinerPair,
        other: initiatorPair.public,
      }),
      initiator: startRatchet({
        role: "initiator",
        transcript,
        root,
        pair: initiatorPair,
        other: joinerPair.public,
      }),
    };
  }

  send(by, plaintext, { isNoted = true } = {}) {
    const made = encrypt(this.#kit, this.states[by], plaintext);
    if (made.refused !== undefined) throw new Error(`${by}: ${made.refused}`);
    this.states[by] = made.state;
    const random = this.#random.noted();
    const index = this.messages.push(made.message) - 1;
    if (isNoted) {
      this.events.push({
        op: "encrypt",
        by,
        index,
        random,
        plaintext: base64(plaintext),
        message: base64(made.message),
        rootKey: base64(made.state.rootKey),
        nextChainKey: base64(made.state.sending.chainKey),
      });
    }
    return index;
  }

  /** Decrypts, and looks whether the plaintext is the one that was sent, or the refusal the expected one. */
  receive(by, index, { refused, time = START } = {}) {
    const result = decrypt(this.#kit, this.states[by], this.messages[index], time);
    if (result.refused !== refused) throw new Error(`${by}, message ${index}: ${result.refused}`);
    if (refused === undefined) this.states[by] = result.state;
    const outcome = refused === undefined ? { plaintext: base64(result.plaintext) } : { refused };
    this.events.push({ op: "decrypt", by, index, time, ...outcome, skipped: this.states[by].skipped.size });
  }

  /** Looks whether a side refuses this message. */
  refuse(by, name, message, reason) {
    expectRefused(name, decrypt(this.#kit, this.states[by], message, START), reason);
    return { name, by, message: base64(message), refused: reason };
  }

  /** Makes a message as a side that breaks the rules would. */
  forge(state, mlKem = this.#kit.mlKem) {
    return encrypt({ ...this.#kit, mlKem }, state, Buffer.from("forged")).message;
  }
}

function frame(number, text) {
  const previousHash = Buffer.alloc(32, number);
  return encodeFrame({
    kind: "message",
    number,
    time: START + number,
    userNumber: number,
    previousHash,
    body: Buffer.from(text),
  });
}

export function makeConversation({ mlKem, upgrade }) {
  const talk = new Conversation({ mlKem, upgrade, label: "conversation" });
  const ready = encodeFrame({
    kind: "ready",
    number: 1,
    time: START,
    kinds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  });
  const [joiner, initiator] = ["joiner", "initiator"];
  const first = talk.send(joiner, ready);
  const second = talk.send(joiner, frame(2, "two"));
  talk.send(joiner, frame(3, "lost"));
  talk.receive(initiator, second);
  const skippedByJoiner = talk.send(initiator, ready);
  const received = talk.send(initiator, frame(2, "zwei"));
  const late = talk.send(joiner, frame(4, "late"));
  talk.receive(joiner, received);
  talk.receive(initiator, first);
  const beforeStep = talk.send(joiner, frame(5, ""));
  talk.send(joiner, frame(6, "lost too"));
  const eighth = talk.send(joiner, frame(7, "a new chain, and its third message comes first"));
  talk.receive(initiator, eighth);
  talk.receive(initiator, late);
  talk.receive(initiator, eighth, { refused: "used" });
  const thirdChain = talk.send(initiator, frame(3, "drei"));
  talk.receive(joiner, thirdChain);
  talk.receive(joiner, skippedByJoiner);
  talk.receive(joiner, skippedByJoiner, { refused: "used" });
  const tenth = talk.send(joiner, frame(8, "acht"));
  talk.receive(initiator, tenth);
  const eleventh = talk.send(joiner, frame(9, "neun"));
  talk.receive(initiator, eleventh);
  talk.receive(initiator, beforeStep, { time: START + SKIP_AGE_LIMIT + 1, refused: "used" });
  talk.receive(initiator, beforeStep, { time: START + SKIP_AGE_LIMIT });
  const fresh = talk.send(joiner, Buffer.from("fresh, in a known chain"));
  const freshStep = talk.send(initiator, Buffer.from("fresh, in a new chain"));

  const hostile = hostileMessages(talk, { fresh, freshStep, tenth, thirdChain, received, upgrade, mlKem });
  talk.receive(initiator, fresh);
  talk.receive(joiner, freshStep);
  return {
    events: talk.events,
    hostileBefore: talk.events.length - 2,
    hostile: [...hostile, unexpectedMessage(talk)],
  };
}

/** What must be refused before the last two messages of the conversation are decrypted, which must go well after it. */
function hostileMessages(talk, { fresh, freshStep, tenth, thirdChain, received, upgrade, mlKem }) {
  const [later, stepping] = [talk.messages[fresh], talk.messages[freshStep]];
  const numbered = (message, number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(number);
    return replaced(message, NUMBER_AT, bytes);
  };
  const otherDh = Buffer.alloc(32, 0x55);
  const toInitiator = (name, message, reason) => talk.refuse("initiator", name, message, reason);
  const toJoiner = (name, message, reason) => talk.refuse("joiner", name, message, reason);
  const badKem = {
    ...mlKem,
    keygen: (seed) => {
      const keys = mlKem.keygen(seed);
      return { ...keys, publicKey: replaced(keys.publicKey, 0, [0xff, 0xff, 0xff]) };
    },
  };
  return [
    toInitiator("empty", Buffer.alloc(0), "short"),
    toJoiner("a header without a whole tag", stepping.subarray(0, HEADER_SIZE + 15), "short"),
    toInitiator("version 1", replaced(later, 0, [1]), "version"),
    toInitiator("another session", flipped(later, 8), "session"),
    toJoiner("the joiner's own message", later, "own key"),
    toInitiator("2001 beyond the next number", numbered(later, 2 + 1 + 2000), "far"),
    toInitiator("the greatest number", numbered(later, 0xffffffff), "far"),
    toJoiner("number 2001 of a new chain", numbered(stepping, 2001), "far"),
    toInitiator("decrypted before", talk.messages[tenth], "used"),
    toJoiner("decrypted before, of a chain that is over", talk.messages[received], "used"),
    toJoiner("a number that a chain that is over never had", numbered(talk.messages[received], 2), "used"),
    toJoiner("decrypted before, of the chain that is current", talk.messages[thirdChain], "used"),
    toInitiator("another tag", flipped(later, -1 + later.length), "damaged"),
    toInitiator("another ciphertext", flipped(later, HEADER_SIZE), "damaged"),
    toInitiator("another salt", flipped(later, 9), "damaged"),
    toInitiator("another length of the chain before", flipped(later, PREVIOUS_AT + 3), "damaged"),
    toInitiator("another number", numbered(later, 1000), "damaged"),
    toInitiator("another DH key in a new chain", replaced(talk.messages[tenth], DH_AT, otherDh), "damaged"),
    toJoiner("another tag in a new chain", flipped(stepping, stepping.length - 1), "damaged"),
    toJoiner("another KEM key in a new chain", flipped(stepping, KEM_AT + 1183), "damaged"),
    toJoiner("another KEM ciphertext in a new chain", flipped(stepping, HEADER_SIZE - 1), "damaged"),
    toInitiator("another KEM ciphertext in a known chain", flipped(later, HEADER_SIZE - 1), "damaged"),
    toJoiner("an all-zero DH key", replaced(stepping, DH_AT, Buffer.alloc(32)), "damaged"),
    toJoiner("a DH key of low order", replaced(stepping, DH_AT, [1, ...Buffer.alloc(31)]), "damaged"),
    toInitiator(
      "a KEM key with a number over the modulus, rightly encrypted",
      talk.forge(
        { ...talk.states.joiner, isStepDue: true, other: talk.states.initiator.pair.public },
        badKem,
      ),
      "damaged",
    ),
    earlyMessage({ upgrade, mlKem }),
    firstPairAgain({ upgrade, mlKem }),
  ];
}

/** By an initiator that does not wait for the joiner's first message: it steps from the root to the joiner's first pair. */
function earlyMessage({ upgrade, mlKem }) {
  const talk = new Conversation({ mlKem, upgrade, label: "early" });
  const { transcript, root, joinerPair, initiatorPair } = upgrade;
  const other = joinerPair.public;
  const impatient = startRatchet({ role: "joiner", transcript, root, pair: initiatorPair, other });
  const entry = talk.refuse(
    "joiner",
    "a message to a joiner that has sent none",
    talk.forge(impatient),
    "unexpected chain",
  );
  return { ...entry, state: "first" };
}

/** By a joiner whose chain has the DH key of its first pair. */
function firstPairAgain({ upgrade, mlKem }) {
  const talk = new Conversation({ mlKem, upgrade, label: "again" });
  const message = replaced(
    talk.messages[talk.send("joiner", Buffer.from("again"))],
    DH_AT,
    dhOf(upgrade.joinerPair.public),
  );
  return {
    ...talk.refuse("initiator", "a chain with the joiner's first pair", message, "used"),
    state: "first",
  };
}

/** By an initiator that steps once more, when the joiner has decrypted its chain and has not answered. */
function unexpectedMessage(talk) {
  const { initiator, joiner } = talk.states;
  const message = talk.forge({ ...initiator, isStepDue: true, other: joiner.pair.public });
  const entry = talk.refuse(
    "joiner",
    "a chain beyond one that was not answered",
    message,
    "unexpected chain",
  );
  return { ...entry, state: "last" };
}

/** Gaps at the limits: of the messages that are lost only their number is noted. */
export function makeGaps({ mlKem, upgrade }) {
  const talk = new Conversation({ mlKem, upgrade, label: "gaps" });
  const plaintext = (name) => Buffer.from(name);
  const lose = (count) => {
    talk.events.push({ op: "lose", by: "joiner", count });
    for (let at = 0; at < count; at++) talk.send("joiner", Buffer.alloc(0), { isNoted: false });
  };
  const zero = talk.send("joiner", plaintext("number 0"));
  lose(1);
  const two = talk.send("joiner", plaintext("number 2"));
  lose(1997);
  const twoThousand = talk.send("joiner", plaintext("number 2000"));
  talk.receive("initiator", twoThousand);
  talk.receive("initiator", zero);
  const next = talk.send("joiner", plaintext("number 2001"));
  lose(1);
  const gapOfOne = talk.send("joiner", plaintext("number 2003"));
  talk.receive("initiator", next);
  talk.receive("initiator", gapOfOne);
  talk.receive("initiator", two);
  lose(2000);
  const farther = talk.send("joiner", plaintext("number 4004"));
  talk.receive("initiator", farther);
  const answer = talk.send("initiator", plaintext("answer"));
  lose(2001);
  talk.receive("joiner", answer);
  const afterLostGap = talk.send("joiner", plaintext("a chain after one of which 2001 messages are lost"));
  talk.receive("initiator", afterLostGap);
  return { events: talk.events };
}
