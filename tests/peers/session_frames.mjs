// Sessions of agents (sessions.md): frames, which the ratchet encrypts. Part of an implementation that is independent of
// this project, see session.mjs.

import { Buffer } from "node:buffer";
import { Fields, orRefused, Refused, u32, u48, u8 } from "./session_bytes.mjs";
import { sha256 } from "./session_keys.mjs";
import { encodeRoute, ROUTE_ID_SIZE, takeRoute } from "./session_routes.mjs";

export const BODY_LIMIT = 1024 * 1024;
/** Frames of one plaintext. */
export const FRAMES_LIMIT = 1000;
const RANGES_LIMIT = 64;
const DIGEST_SIZE = 16;
const REPLACES = 1;
const LOST = 2;

/** The content of each kind: its bytes from a frame, and a frame's fields from its bytes. */
const kinds = {
  message: {
    code: 1,
    encode: ({ userNumber, previousHash, body }) => [u48(userNumber), previousHash, body],
    take: (fields) => {
      const frame = {
        userNumber: positive(fields.u48()),
        previousHash: fields.take(32),
        body: fields.rest(),
      };
      if (frame.body.length > BODY_LIMIT) throw new Refused("length");
      return frame;
    },
  },
  receipt: {
    code: 2,
    encode: ({ stored, acknowledged }) => [...encodeProgress(stored), ...encodeProgress(acknowledged)],
    take: (fields) => ({ stored: takeProgress(fields), acknowledged: takeProgress(fields) }),
  },
  routeAdd: {
    code: 3,
    encode: ({ route, replaces, isLost }) => [
      encodeRoute(route),
      u8((replaces === null ? 0 : REPLACES) | (isLost ? LOST : 0)),
      ...(replaces === null ? [] : [replaces]),
    ],
    take: (fields) => {
      const route = takeRoute(fields);
      const flags = fields.u8();
      if ((flags & ~(REPLACES | LOST)) !== 0) throw new Refused("flags");
      const replaces = (flags & REPLACES) === 0 ? null : fields.take(ROUTE_ID_SIZE);
      return { route, replaces, isLost: (flags & LOST) !== 0 };
    },
  },
  routeOk: routeIdOnly(4),
  routeRefused: {
    code: 5,
    encode: ({ routeId, reason }) => [routeId, u8(reason)],
    take: (fields) => {
      const frame = { routeId: fields.take(ROUTE_ID_SIZE), reason: fields.u8() };
      if (frame.reason === 0) throw new Refused("reason");
      return frame;
    },
  },
  routeEnd: routeIdOnly(6),
  skip: {
    code: 7,
    encode: ({ from, to }) => [u48(from), u48(to)],
    take: (fields) => {
      const frame = { from: positive(fields.u48()), to: fields.u48() };
      if (frame.to < frame.from) throw new Refused("range");
      return frame;
    },
  },
  ready: {
    code: 8,
    encode: ({ kinds }) => [u8(kinds.length), Buffer.from(kinds)],
    take: (fields) => ({ kinds: [...fields.take(fields.u8())] }),
  },
  last: {
    code: 9,
    encode: ({ userNumber }) => [u48(userNumber)],
    take: (fields) => ({ userNumber: fields.u48() }),
  },
  close: { code: 10, encode: () => [], take: () => ({}) },
  digest: {
    code: 17,
    encode: ({ digest }) => [digest],
    take: (fields) => ({ digest: fields.take(DIGEST_SIZE) }),
  },
};

/** Kinds of frames that have no number. */
const unnumbered = ["receipt", "digest"];

const names = new Map(Object.entries(kinds).map(([name, { code }]) => [code, name]));

/** A frame's bytes: `kind` is a name or "unknown", which has `code` and `content`. */
export function encodeFrame(frame) {
  const { code, content } = frame.kind === "unknown"
    ? { code: frame.code, content: frame.content }
    : { code: kinds[frame.kind].code, content: Buffer.concat(kinds[frame.kind].encode(frame)) };
  return Buffer.concat([u8(code), u48(frame.number), u48(frame.time), u32(content.length), content]);
}

/** `{ frames }` of a plaintext of the ratchet, or why all of it is refused. */
export function parseFrames(plaintext) {
  return orRefused(() => {
    const fields = new Fields(plaintext, "length");
    const frames = [];
    do {
      if (frames.length === FRAMES_LIMIT) throw new Refused("frames");
      const code = fields.u8();
      const common = { number: fields.u48(), time: fields.u48() };
      const content = fields.take(fields.u32());
      const kind = names.get(code);
      if (kind === undefined) {
        frames.push({ kind: "unknown", code, ...common, content });
        continue;
      }
      if ((common.number === 0) !== unnumbered.includes(kind)) throw new Refused("number");
      const inner = new Fields(content, "length");
      frames.push({ kind, ...common, ...kinds[kind].take(inner) });
      inner.end();
    } while (fields.left > 0);
    return { frames };
  });
}

/** The hash that the next user message has of a message frame. */
export function hashOfMessage({ userNumber, previousHash, time, body }) {
  return sha256(u48(userNumber), previousHash, u48(time), body);
}

function routeIdOnly(code) {
  return {
    code,
    encode: ({ routeId }) => [routeId],
    take: (fields) => ({ routeId: fields.take(ROUTE_ID_SIZE) }),
  };
}

function positive(number) {
  if (number === 0) throw new Refused("number");
  return number;
}

function encodeProgress({ upTo, ranges }) {
  return [u48(upTo), u8(ranges.length), ...ranges.flatMap(({ from, to }) => [u48(from), u48(to)])];
}

/** Everything up to a number, and ranges beyond it: between two of them, at least one number is missing. */
function takeProgress(fields) {
  const upTo = fields.u48();
  const count = fields.u8();
  if (count > RANGES_LIMIT) throw new Refused("ranges");
  const ranges = [];
  let end = upTo;
  for (let at = 0; at < count; at++) {
    const range = { from: fields.u48(), to: fields.u48() };
    if (range.from <= end + 1 || range.to < range.from) throw new Refused("ranges");
    ranges.push(range);
    end = range.to;
  }
  return { upTo, ranges };
}
