import { frameKinds } from "../../protocol/mod.ts";
import type { FrameDraft } from "../core/types.ts";
import type { FrameHandler } from "./arrival.ts";
import { dropFormer } from "./former.ts";
import { withSession, withSessionKeys } from "./session.ts";

/** The kinds of frames that this agent knows. */
export const knownKinds: readonly number[] = [
  frameKinds.message,
  frameKinds.receipt,
  frameKinds["route add"],
  frameKinds["route ok"],
  frameKinds["route refused"],
  frameKinds["route end"],
  frameKinds.ready,
  frameKinds.close,
  frameKinds["stream offer"],
  frameKinds["stream accept"],
  frameKinds["stream refuse"],
  frameKinds["stream run"],
  frameKinds["stream close"],
  frameKinds["stream resume"],
  frameKinds.digest,
];

/** What a side says first. */
export function readyFrame(now: number): FrameDraft {
  return { content: { kind: "ready", kinds: knownKinds }, time: now, messageId: 0 };
}

/** The other side can send in the session: the queues of 0.3 are not needed any more. */
export const receiveReady: FrameHandler<"ready"> = (connection, { frame: { kinds } }, context) => {
  const { status } = connection.session!;
  // The ratchet has the hash of what was said before; the keys of the first routes are in it.
  const dropped = dropFormer(withSessionKeys(connection, { kinds, transcript: {} }), context, {
    receiving: true,
    sending: true,
  });
  const commands = [...dropped.commands, { type: "look at routes" } as const];
  if (status !== "answered") return { ...dropped, commands };
  const since = context.now;
  return {
    ...dropped,
    connection: withSessionKeys(withSession(dropped.connection, { status: "active" }), {
      since,
      pair: null,
      secret: null,
    }),
    frames: [readyFrame(since)],
    events: [...dropped.events, { type: "session", change: "active" }],
    commands: [...commands, { type: "encrypt" }],
  };
};
