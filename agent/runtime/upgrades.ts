/** What the steps of an upgrade need of servers, keys and chance (sessions.md The upgrade of a connection). */
import {
  decodeFrames,
  decodeInitiatorUpgrade,
  decodeJoinerUpgrade,
  encodeInitiatorUpgrade,
  encodeJoinerUpgrade,
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  type NewSession,
  offerSession,
  sha256,
  transcriptHash,
  type UpgradeRefusal,
} from "../../protocol/mod.ts";
import type { BegunSession, ConnectionEvent, FormerFrame } from "../core/types.ts";
import { encodeFrame } from "../kinds/frame.ts";
import { msg } from "../kinds/msg.ts";
import { AgentError } from "../protocol/error.ts";
import { completeTranscript } from "../session/session.ts";
import type { AgentStore, Connection, OutboundRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { type MadeInbound, makeInbound, outboundOf } from "./inbound.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Answered = Extract<ConnectionEvent, { readonly type: "answered" }>["begun"];

/** Makes what the joiner's UPG tells. Throws what {@linkcode makeInbound} throws. */
export async function makeOffer(context: AgentContext) {
  // While its server answers.
  const [made, pair] = await Promise.all([makeFirst(context), generateRatchetPair()]);
  return { made, pair, upgrade: encodeJoinerUpgrade({ pair, route: made.record }) };
}

/** Makes the initiator's session and its UPG. Throws what {@linkcode makeInbound} throws. */
export async function makeAnswer(
  context: AgentContext,
  { session }: Connection,
  joinerUpgrade: Bytes,
): Promise<{ readonly made: MadeInbound | null; readonly begun: Answered }> {
  const decoded = decodeJoinerUpgrade(joinerUpgrade);
  if (!decoded.ok) return { made: null, begun: unusable(decoded.code) };
  const { pair: joiner, route } = decoded.upgrade;
  const [outbound, offer] = await Promise.all([outboundOf(context, route), offerSession(joiner)]);
  if (outbound instanceof AgentError) return { made: null, begun: outbound };
  if (offer === null) return { made: null, begun: unusable("MALFORMED") };
  const { pair, ciphertext } = offer;
  const made = await makeFirst(context);
  const initiatorUpgrade = encodeInitiatorUpgrade({ pair, ciphertext, route: made.record });
  const transcript = await hashOf(session, { joinerUpgrade, initiatorUpgrade });
  const started = transcript && await initiatorSession(offer, { joiner, transcript });
  if (started === null) return { made, begun: unusable("MALFORMED") };
  return { made, begun: { ...begunOf(started, outbound), inbound: made.route, upgrade: initiatorUpgrade } };
}

/** Makes the joiner's session of the initiator's UPG. */
export async function makeBeginning(
  context: AgentContext,
  { session }: Connection,
  initiatorUpgrade: Bytes,
): Promise<BegunSession | AgentError> {
  const decoded = decodeInitiatorUpgrade(initiatorUpgrade);
  if (!decoded.ok) return unusable(decoded.code);
  const { pair: initiator, ciphertext, route } = decoded.upgrade;
  const own = session?.keys.pair ?? null;
  const transcript = await hashOf(session, { initiatorUpgrade });
  const [outbound, started] = await Promise.all([
    outboundOf(context, route),
    own && transcript && joinerSession(own, { initiator, ciphertext, transcript }),
  ]);
  if (outbound instanceof AgentError) return outbound;
  return started === null ? unusable("MALFORMED") : begunOf(started, outbound);
}

/** The messages that wait for a session, as messages of 0.3 from the first number on. */
export async function formerFrames(
  store: AgentStore,
  { record, session }: Connection,
): Promise<FormerFrame[]> {
  const messages: FormerFrame[] = [];
  let previousHash: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  for (const { number, messageId, frame } of await store.frames(record.id, 0, session!.lastNumber)) {
    const decoded = decodeFrames(frame);
    const [content] = decoded.ok ? decoded.frames : [];
    if (content?.kind !== "message") continue;
    const { userNumber: id, time, body } = content;
    const plaintext = encodeFrame(msg, { type: "MSG", body, id, timestamp: new Date(time), previousHash });
    previousHash = await sha256(plaintext);
    messages.push({ number, messageId, plaintext, hash: previousHash });
  }
  return messages;
}

/** The first route, of which the other side learns by RSA alone. */
function makeFirst(context: AgentContext): Promise<MadeInbound> {
  const first = { status: "active", replaces: null, leaving: "first" } as const;
  return makeInbound(context, { server: context.server(), ...first });
}

async function hashOf(
  session: Connection["session"],
  upgrades: { readonly joinerUpgrade?: Bytes; readonly initiatorUpgrade: Bytes },
): Promise<Bytes | null> {
  const complete = completeTranscript({ ...session?.keys.transcript, ...upgrades });
  return complete && await transcriptHash(complete);
}

function begunOf({ state, safetyCode, repairKey }: NewSession, outbound: OutboundRoute): BegunSession {
  return { ratchet: state, safetyCode, repairKey, outbound };
}

function unusable(code: UpgradeRefusal): AgentError {
  const reason = code === "VERSION" ? "is of a version that is not known here" : "cannot be parsed";
  return new AgentError("AGENT A_MESSAGE", `The other agent's UPG ${reason}`);
}
