import { step } from "../../../agent/core/step.ts";
import type { Step } from "../../../agent/core/types.ts";
import type { ArrivedFrame } from "../../../agent/session/arrival.ts";
import { newSession, withSession, withSessionKeys } from "../../../agent/session/session.ts";
import type { Connection, InboundRoute, OutboundRoute } from "../../../agent/store/store.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn, context } from "../core/scenes.ts";

const { joiner: { state: ratchet } } = await newSessions();
const server = { host: "one.example" };

/** An inbound route with an ID of at most eight letters. */
export function inboundRoute(id: string, change: Partial<InboundRoute> = {}): InboundRoute {
  const keys = {
    server,
    recipientId: "cmlk",
    senderId: "c2lk",
    recipientKey: Uint8Array.of(1),
    routeId: new TextEncoder().encode(id.padEnd(8)),
    routeKey: new Uint8Array(32),
    blockSize: 4096,
    createdAt: 1000,
  };
  const made = { id, keys, status: "active", replaces: null, leaving: null, endedBy: null } as const;
  return { ...made, lastServerId: "", suspended: false, ...change };
}

/** An outbound route with an ID of at most eight letters. */
export function outboundRoute(id: string, change: Partial<OutboundRoute> = {}): OutboundRoute {
  const { keys: { senderId, routeId, routeKey, blockSize } } = inboundRoute(id);
  const keys = { server, senderId, senderKey: Uint8Array.of(2), routeId, routeKey, blockSize };
  return { id, keys, isProven: true, replaces: null, cursor: 0, ...change };
}

/** The joiner's connection with an active session and routes. */
export function activeSession(routes: Partial<Pick<Connection, "inbound" | "outbound">>): Connection {
  const state = { role: "joiner", reply: true, receiving: "none", sending: "none", connected: true } as const;
  const empty = { ...connectionIn(state), session: newSession({}), ...routes };
  const session = withSession(empty, { status: "active", ratchet });
  return withSessionKeys(session, { kinds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
}

/** What frames make of a connection that come in their order. */
export function arrived(
  connection: Connection,
  frames: readonly (Pick<ArrivedFrame, "frame"> & Partial<ArrivedFrame>)[],
  now: number = context.now,
): Step {
  const { stored, undecrypted } = connection.session!;
  const one = { serverId: "aWQ=", serverAt: 1, hash: new Uint8Array(0), delivered: null, taken: [] };
  const opened = {
    ratchet,
    frames: frames.map((frame) => ({ ...one, outbound: null, ...frame })),
    stored,
    changes: [],
    reassembly: undefined,
    heard: [],
    isRepeated: false,
    unreadable: 0,
    undecrypted,
    lastServerId: "aWQ=",
  };
  const event = { type: "packets", route: connection.inbound[0]!.id, opened } as const;
  return step(connection, event, { ...context, now });
}
