/** What the steps of a repair need of keys, chance and the store (sessions.md Repair). */
import {
  decodePublicPair,
  decodeRatchetState,
  encodeBase64,
  encodePublicPair,
  encodeRatchetState,
  equalBytes,
  generateRatchetPair,
  initiatorSession,
  isAuthenticRepair,
  joinerSession,
  offerSession,
  randomBytes,
  readRepair,
  type RepairAccount,
  repairIdLength,
  repairNumbers,
  type RepairPacket,
  repairTimes,
  repairTranscript,
  type SealedRepair,
  sealRepair,
} from "../../protocol/mod.ts";
import type { ConnectionEvent } from "../core/types.ts";
import { tellsDigests } from "../session/digest.ts";
import { greatest } from "../session/number_set.ts";
import {
  idsWith,
  isKnown,
  mayAnswer,
  mayBegin,
  mayRepair,
  repairOf,
  type UnansweredRepair,
  unansweredRepair,
} from "../session/repair_state.ts";
import type { Connection, RepairStage, Session } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { accountOf, planOf, restOf } from "./repair_numbers.ts";
import { repairedEvent } from "./repaired.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Context = Pick<AgentContext, "store" | "now" | "allowUnverified">;
type Stage<Type extends RepairStage["type"]> = Extract<RepairStage, { readonly type: Type }>;
type Said<Step extends RepairPacket["step"]> = SealedRepair & {
  readonly packet: Extract<RepairPacket, { readonly step: Step }>;
};

const refused: ConnectionEvent = { type: "repair refused" };
/** What was said is said again, to a call of that time. */
const sayAgain = (
  stage: RepairStage,
  session: Session,
  called = repairOf(session).called,
): ConnectionEvent => {
  const { asked } = repairOf(session);
  return { type: "repair said", repair: { stage, asked, called } };
};

/**
 * Begins to repair a session: the initiator asks, the joiner calls; `null` when that may not be, or was just done.
 * `insteadOf`: what is under way is begun anew, unless it has gone on.
 */
export async function beginRepair(
  context: Context,
  connection: Connection,
  insteadOf: UnansweredRepair | null = null,
): Promise<ConnectionEvent | null> {
  const { session } = connection;
  const now = context.now();
  if (session === null) return null;
  if (insteadOf === null) return mayBegin(session, now) ? await begin(context, connection, session) : null;
  const stage = unansweredRepair(session);
  const isSame = stage?.type === insteadOf.type && stage.since === insteadOf.since;
  return isSame && mayRepair(session, now) ? await begin(context, connection, session) : null;
}

/** What is made of a packet that is to repair a session, in its turn; `null`: nothing. */
export async function hearRepair(
  context: Context,
  connection: Connection,
  content: Bytes,
): Promise<ConnectionEvent | null> {
  const { session, record: { role } } = connection;
  const heard = readRepair(content);
  if (heard === null || session?.status !== "active" || session.keys.repairKey === null) return refused;
  const { packet } = heard;
  const isOfJoiner = packet.step === "call" || packet.step === "offer";
  // One of this side's own that comes back.
  if (isOfJoiner === (role === "joiner")) return refused;
  switch (packet.step) {
    case "call":
      return await hearCall(context, connection, { session, heard: { ...heard, packet } });
    case "ask":
      return await hearAsk(context, connection, { session, heard: { ...heard, packet } });
    case "offer":
      return await hearOffer(context, connection, { session, heard: { ...heard, packet } });
    case "answer":
      return await hearAnswer(context, connection, { session, heard: { ...heard, packet } });
    default:
      return packet satisfies never;
  }
}

/** The other side has shown that it has the new session: this side takes it too. `null` when none is to be taken. */
export async function switching(context: Context, connection: Connection): Promise<ConnectionEvent | null> {
  const stage = connection.session?.keys.repair?.stage;
  if (stage?.type !== "answered") return null;
  const ratchet = await decodeRatchetState(stage.ratchet);
  const offer = readRepair(stage.offer)?.packet;
  if (ratchet === null || offer?.step !== "offer") return null;
  const { plan, safetyCode } = stage;
  const { account, rest } = offer;
  return await repairedEvent(context, connection, {
    begun: { ratchet, safetyCode },
    plan,
    account,
    rest,
    stage: null,
  });
}

async function begin(
  context: Context,
  connection: Connection,
  session: Session,
): Promise<ConnectionEvent | null> {
  const since = context.now();
  const { asked, called } = repairOf(session);
  const repairKey = session.keys.repairKey!;
  const id = randomBytes(repairIdLength);
  if (connection.record.role === "joiner") {
    const time = Math.max(since, called + 1);
    if (time >= repairTimes) return null;
    const { bytes: said } = await sealRepair({ step: "call", time, id, asked }, { repairKey });
    return { type: "repair said", repair: { stage: { type: "called", since, said }, asked, called: time } };
  }
  return await ask(context, connection, { session, asked, called });
}

async function ask(
  context: Context,
  connection: Connection,
  { session, asked, called }: {
    readonly session: Session;
    readonly asked: number;
    readonly called: number;
  },
): Promise<ConnectionEvent | null> {
  const since = context.now();
  const time = Math.max(since, asked + 1);
  const account = await accountOf(context, connection, tellsDigests(session));
  if (time >= repairTimes || !isSayable(account)) return null;
  const packet = { step: "ask", time, id: randomBytes(repairIdLength), account } as const;
  const { bytes: said } = await sealRepair(packet, { repairKey: session.keys.repairKey! });
  const ids = idsWith(session, packet.id);
  return { type: "repair said", repair: { stage: { type: "asked", since, said }, asked: time, called, ids } };
}

interface Heard<Step extends RepairPacket["step"]> {
  readonly session: Session;
  readonly heard: Said<Step>;
}

async function hearCall(
  context: Context,
  connection: Connection,
  { session, heard }: Heard<"call">,
): Promise<ConnectionEvent | null> {
  const { asked, called, stage, doneAt } = repairOf(session);
  if (!await isAuthenticRepair(heard, { repairKey: session.keys.repairKey! })) return refused;
  const { packet } = heard;
  // It was heard before, or is older: the question to it may be lost.
  if (packet.time <= called) return stage?.type === "asked" ? sayAgain(stage, session) : null;
  const now = context.now();
  if (!mayRepair(session, now)) return null;
  if (packet.asked < asked) {
    // It crosses the question, which goes on: to ask anew each time would never end where both are seldom there.
    if (stage?.type === "asked") return sayAgain(stage, session, packet.time);
    // It comes late: what it is for was done since.
    const since = stage?.type === "answered" ? stage.since : doneAt;
    if (since !== null && since <= now && packet.time <= since) {
      return stage?.type === "answered" ? sayAgain(stage, session, packet.time) : null;
    }
  }
  return await ask(context, connection, {
    session,
    asked: Math.max(asked, packet.asked),
    called: packet.time,
  });
}

async function hearAsk(
  context: Context,
  connection: Connection,
  { session, heard }: Heard<"ask">,
): Promise<ConnectionEvent | null> {
  const { asked, called, stage } = repairOf(session);
  const repairKey = session.keys.repairKey!;
  if (!await isAuthenticRepair(heard, { repairKey })) return refused;
  const { packet, bytes } = heard;
  if (packet.time <= asked) {
    return stage?.type === "offered" && equalBytes(stage.ask, bytes) ? sayAgain(stage, session) : null;
  }
  if (!mayAnswer(session, context.now())) return null;
  const [pair, plan, account] = [
    await generateRatchetPair(),
    await planOf(context, connection, packet.account),
    await accountOf(context, connection, packet.account.told !== undefined),
  ];
  if (!isSayable(account)) return null;
  const question = bytes.slice();
  const offer = {
    step: "offer",
    id: packet.id.slice(),
    pair: encodePublicPair(pair),
    account,
    rest: restOf(session, plan),
  } as const;
  const { bytes: said } = await sealRepair(offer, { repairKey, before: [question] });
  const next: RepairStage = { type: "offered", since: context.now(), said, ask: question, pair, plan };
  const ids = idsWith(session, packet.id);
  return { type: "repair said", repair: { stage: next, asked: packet.time, called, ids } };
}

async function hearOffer(
  context: Context,
  connection: Connection,
  { session, heard }: Heard<"offer">,
): Promise<ConnectionEvent | null> {
  const { asked, called, stage } = repairOf(session);
  if (stage?.type === "answered" && equalBytes(stage.offer, heard.bytes)) return sayAgain(stage, session);
  const question = stage?.type === "asked" ? stage.said : stage?.type === "answered" ? stage.ask : null;
  // One of a repair that is over, or of one that another life of this side has begun.
  if (question === null) return await beginUnknown(context, connection, { session, heard });
  const repairKey = session.keys.repairKey!;
  if (!await isAuthenticRepair(heard, { repairKey, before: [question] })) return refused;
  const { account, rest, pair: encoded } = heard.packet;
  const told = readRepair(question)?.packet;
  // What this side has is not what the other has reckoned with.
  const isStale = told?.step !== "ask" || !await isCurrent(context, connection, told.account) ||
    greatest(session.stored) > rest.next;
  if (isStale) return await ask(context, connection, { session, asked, called });
  const joiner = decodePublicPair(encoded);
  const made = joiner && await offerSession(joiner);
  if (made === null) return refused;
  const plan = await planOf(context, connection, account);
  const offer = heard.bytes.slice();
  const answer = {
    step: "answer",
    id: heard.packet.id.slice(),
    pair: encodePublicPair(made.pair),
    ciphertext: made.ciphertext,
    rest: restOf(session, plan),
  } as const;
  const { bytes: said } = await sealRepair(answer, { repairKey, before: [question, offer] });
  const transcript = await repairTranscript({ ask: question, offer, answer: said });
  const begun = await initiatorSession(made, { joiner: joiner!, transcript, repairKey });
  if (begun === null) return refused;
  const next: RepairStage = {
    type: "answered",
    since: context.now(),
    said,
    ask: question,
    offer,
    ratchet: await encodeRatchetState(begun.state),
    safetyCode: begun.safetyCode,
    plan,
  };
  return { type: "repair said", repair: { stage: next, asked, called } };
}

async function hearAnswer(
  context: Context,
  connection: Connection,
  { session, heard }: Heard<"answer">,
): Promise<ConnectionEvent | null> {
  const { stage } = repairOf(session);
  // The other side has not seen this one's first message.
  if (stage?.type === "begun" && equalBytes(stage.answer, heard.bytes)) return { type: "receipt wanted" };
  if (stage?.type !== "offered") return await beginUnknown(context, connection, { session, heard });
  const repairKey = session.keys.repairKey!;
  const before = [stage.ask, stage.said];
  if (!await isAuthenticRepair(heard, { repairKey, before })) return refused;
  return await beginNew(context, connection, { session, heard, stage });
}

async function beginNew(
  context: Context,
  connection: Connection,
  { session, heard, stage }: Heard<"answer"> & { readonly stage: Stage<"offered"> },
): Promise<ConnectionEvent | null> {
  const { rest, pair: encoded, ciphertext } = heard.packet;
  const question = readRepair(stage.ask)?.packet, told = readRepair(stage.said)?.packet;
  const isStale = told?.step !== "offer" || question?.step !== "ask" ||
    !await isCurrent(context, connection, told.account) || greatest(session.stored) > rest.next;
  if (isStale) return await begin(context, connection, session);
  const initiator = decodePublicPair(encoded);
  const answer = heard.bytes.slice();
  const repairKey = session.keys.repairKey!;
  const transcript = await repairTranscript({ ask: stage.ask, offer: stage.said, answer });
  const begun = initiator &&
    await joinerSession(stage.pair, { initiator, ciphertext: ciphertext.slice(), transcript, repairKey });
  if (begun === null) return refused;
  return await repairedEvent(context, connection, {
    begun: { ratchet: begun.state, safetyCode: begun.safetyCode },
    plan: stage.plan,
    account: question.account,
    rest,
    stage: { type: "begun", since: context.now(), answer },
  });
}

/** Whether the other side would hear it: only one that does not count can have numbers that are too great. */
function isSayable({ greatest, last: { id } }: RepairAccount): boolean {
  return greatest < repairNumbers && id < repairNumbers;
}

/** Whether what was told of a side is so. */
async function isCurrent(context: Context, connection: Connection, told: RepairAccount): Promise<boolean> {
  const account = await accountOf(context, connection, told.told !== undefined);
  const textOf = ({ stored, greatest, last, told }: RepairAccount) => (
    JSON.stringify([stored, greatest, last.id, told === undefined ? "" : encodeBase64(told.digest)])
  );
  return textOf(account) === textOf(told);
}

/**
 * The other side waits for something that this one knows nothing of: it was restored, as nobody else can say that, unless a
 * server plays again what it has kept for long.
 */
async function beginUnknown(
  context: Context,
  connection: Connection,
  { session, heard: { packet } }: Heard<"offer" | "answer">,
): Promise<ConnectionEvent | null> {
  if (isKnown(session, packet.id) || !mayBegin(session, context.now())) return null;
  return await begin(context, connection, session);
}
