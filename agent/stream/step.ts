/** What frames of streams make of a connection (streams.md): what has to last is in its session. */
import {
  frameKinds,
  type StreamContent,
  type StreamOfferContent,
  streamReasons,
} from "../../protocol/mod.ts";
import { type Command, type SessionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import type { ArrivedFrame, FrameHandler } from "../session/arrival.ts";
import { mostFrames, withSessionKeys } from "../session/session.ts";
import type { Connection, StreamRecord } from "../store/store.ts";
import { hexOf } from "./hex.ts";

/** Streams of a connection in one direction that nobody has accepted. */
export const mostOffered = 16;

/** Streams of a connection in one direction, offered or accepted. */
export const mostOpen = 32;

/** The streams of a connection that have not ended. */
export function streamsOf({ session }: Connection): readonly StreamRecord[] {
  return session?.status === "active" ? session.keys.streams ?? [] : [];
}

/** The stream with an ID that this side sends or receives. */
export function streamOf(
  connection: Connection,
  direction: StreamRecord["direction"],
  id: string,
): StreamRecord | undefined {
  return streamsOf(connection).find((stream) => stream.direction === direction && stream.id === id);
}

/** Whether there may be one more in a direction. */
export function hasRoom(connection: Connection, direction: StreamRecord["direction"]): boolean {
  const streams = streamsOf(connection).filter((stream) => stream.direction === direction);
  const offered = streams.filter(({ status }) => status === "offered");
  return offered.length < mostOffered && streams.length < mostOpen;
}

/** Whether the other side knows streams. */
export function knowsStreams({ session }: Connection): boolean {
  const kinds = session?.status === "active" ? session.keys.kinds : null;
  return kinds?.includes(frameKinds["stream offer"]) ?? false;
}

/** Whether the other side receipts what it is told. */
function takesAnswers({ session }: Connection): boolean {
  return session !== null && session.lastNumber - session.receipted.upTo < mostFrames;
}

/**
 * What is known of streams changes, and the other side is told. Throws `AgentError` (`CONN FULL`) for all but the end of one
 * when too much waits for the other side: what that asks for again and again is stored no more often.
 */
export function changeStreams(
  connection: Connection,
  { streams, contents }: Extract<SessionEvent, { readonly type: "streams" }>,
  { now }: StepContext,
): Step {
  if (connection.session?.status !== "active") return stepTo(connection);
  const isEnd = contents.every(({ kind }) => kind === "stream close" || kind === "stream refuse");
  if (!isEnd && !takesAnswers(connection)) {
    throw new AgentError("CONN FULL", `Too much waits for the other side of "${connection.record.alias}"`);
  }
  return stepTo(withSessionKeys(connection, { streams }), {
    frames: contents.map((content) => ({ content, time: now, messageId: 0 })),
  });
}

/** The other side says something of a stream; nothing of one that has ended here, of which it was told. */
export const receiveStreamFrame: FrameHandler<StreamContent["kind"]> = (connection, { frame }, context) => {
  if (frame.kind === "stream offer") return receiveOffer(connection, frame, context);
  const direction = directionOf(frame);
  const stream = streamOf(connection, direction, hexOf(frame.streamId));
  if (stream === undefined) return null;
  const commands: Command[] = [{ type: "stream", content: frame }];
  switch (frame.kind) {
    case "stream refuse":
    case "stream close":
      return { connection: withoutStream(connection, stream), commands };
    case "stream accept":
      if (stream.status === "accepted") return null;
      return { connection: withStream(connection, { ...stream, status: "accepted" }), commands };
    case "stream run":
    case "stream resume":
      return stream.status === "accepted" ? { commands } : null;
    default:
      return frame satisfies never;
  }
};

/** Whether the stream of a frame of the other side is one that this side sends. */
function directionOf(
  frame: Exclude<ArrivedFrame["frame"] & StreamContent, StreamOfferContent>,
): StreamRecord["direction"] {
  switch (frame.kind) {
    case "stream accept":
    case "stream refuse":
      return "sending";
    case "stream run":
      return "receiving";
    case "stream close":
      return frame.from === "receiver" ? "sending" : "receiving";
    case "stream resume":
      return frame.routes.length > 0 ? "sending" : "receiving";
    default:
      return frame satisfies never;
  }
}

function receiveOffer(
  connection: Connection,
  frame: StreamOfferContent,
  { now }: StepContext,
): Partial<Step> | null {
  const { streamId, key, name, mediaType, size, sha256 } = frame;
  const id = hexOf(streamId);
  if (connection.session?.status !== "active" || streamOf(connection, "receiving", id) !== undefined) {
    return null;
  }
  if (!hasRoom(connection, "receiving")) {
    // Who takes no answers gets none.
    if (!takesAnswers(connection)) return null;
    const content = {
      kind: "stream refuse",
      streamId: streamId.slice(),
      reason: streamReasons.tooMany,
      text: "",
    } as const;
    return { frames: [{ content, time: now, messageId: 0 }] };
  }
  const stream: StreamRecord = {
    id,
    direction: "receiving",
    status: "offered",
    key: key.slice(),
    name,
    mediaType,
    size,
    sha256: sha256?.slice() ?? null,
    at: now,
    file: null,
  };
  return { connection: withStream(connection, stream), commands: [{ type: "stream", content: frame }] };
}

/** A connection with a stream that is new or changed. */
export function withStream(connection: Connection, stream: StreamRecord): Connection {
  const streams = streamsOf(connection);
  const at = streams.findIndex(({ id, direction }) => id === stream.id && direction === stream.direction);
  return withSessionKeys(connection, { streams: at < 0 ? [...streams, stream] : streams.with(at, stream) });
}

/** A connection without a stream. */
export function withoutStream(connection: Connection, stream: StreamRecord): Connection {
  return withSessionKeys(connection, { streams: streamsOf(connection).filter((other) => other !== stream) });
}
