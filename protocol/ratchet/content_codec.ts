/** The content of each kind of frame. */
import { encodeStreamContent, isValidStreamContent, readStreamContent } from "../stream/content_codec.ts";
import { ByteReader, concat, exactly, numberBytes } from "./_bytes.ts";
import { type FrameContent, frameKinds, largestBody } from "./content.ts";
import { digestLength } from "./digest.ts";
import { encodeReceipt, isReceipt, readReceipt } from "./receipt.ts";
import { encodeRouteRecord, readRouteRecord, routeIdLength } from "./route_record.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const hashLength = 32;
const replacesFlag = 1, lostFlag = 2;
const noBytes = new Uint8Array(0);

/** The bytes of a frame's content. `RangeError` for parts of other lengths. */
export function encodeContent(content: FrameContent): Bytes {
  switch (content.kind) {
    case "message":
      return concat(
        numberBytes(content.userNumber, 6, "user number"),
        exactly(content.previousHash, hashLength, "previous hash"),
        content.body,
      );
    case "receipt":
      return encodeReceipt(content);
    case "route add": {
      const { route, replaces, lost } = content;
      const flags = (replaces === null ? 0 : replacesFlag) | (lost ? lostFlag : 0);
      return concat(
        encodeRouteRecord(route),
        Uint8Array.of(flags),
        replaces === null ? noBytes : idBytes(replaces),
      );
    }
    case "route ok":
    case "route end":
      return concat(idBytes(content.routeId));
    case "route refused":
      return concat(idBytes(content.routeId), numberBytes(content.reason, 1, "reason"));
    case "skip":
      return concat(numberBytes(content.from, 6, "from"), numberBytes(content.to, 6, "to"));
    case "ready":
      return concat(
        numberBytes(content.kinds.length, 1, "number of kinds"),
        ...content.kinds.map((kind) => numberBytes(kind, 1, "kind")),
      );
    case "last":
      return numberBytes(content.userNumber, 6, "user number");
    case "close":
      return noBytes;
    case "digest":
      return exactly(content.digest, digestLength, "digest");
    case "stream offer":
    case "stream accept":
    case "stream refuse":
    case "stream run":
    case "stream close":
    case "stream resume":
      return encodeStreamContent(content);
    case "unknown":
      return content.content;
    default:
      return content satisfies never;
  }
}

/** Reads a content; `null` when it has not exactly the bytes that its kind has. */
export function readContent(kindNumber: number, bytes: Bytes): FrameContent | null {
  const reader = new ByteReader(bytes);
  const content = contentOf(kindNumber, reader, bytes);
  return content !== null && (content.kind === "unknown" || reader.complete) ? content : null;
}

function contentOf(kindNumber: number, reader: ByteReader, bytes: Bytes): FrameContent | null {
  switch (kindNumber) {
    case frameKinds.message:
      return {
        kind: "message",
        userNumber: reader.u48(),
        previousHash: reader.bytes(hashLength),
        body: reader.bytes(reader.left),
      };
    case frameKinds.receipt:
      return { kind: "receipt", ...readReceipt(reader) };
    case frameKinds["route add"]: {
      const route = readRouteRecord(reader), flags = reader.u8();
      if (route === null || flags > (replacesFlag | lostFlag)) return null;
      const replaces = (flags & replacesFlag) === 0 ? null : reader.bytes(routeIdLength);
      return { kind: "route add", route, replaces, lost: (flags & lostFlag) !== 0 };
    }
    case frameKinds["route ok"]:
      return { kind: "route ok", routeId: reader.bytes(routeIdLength) };
    case frameKinds["route refused"]:
      return { kind: "route refused", routeId: reader.bytes(routeIdLength), reason: reader.u8() };
    case frameKinds["route end"]:
      return { kind: "route end", routeId: reader.bytes(routeIdLength) };
    case frameKinds.skip:
      return { kind: "skip", from: reader.u48(), to: reader.u48() };
    case frameKinds.ready:
      return { kind: "ready", kinds: [...reader.bytes(reader.u8())] };
    case frameKinds.last:
      return { kind: "last", userNumber: reader.u48() };
    case frameKinds.close:
      return { kind: "close" };
    case frameKinds.digest:
      return { kind: "digest", digest: reader.bytes(digestLength) };
    case frameKinds["stream offer"]:
      return readStreamContent("stream offer", reader);
    case frameKinds["stream accept"]:
      return readStreamContent("stream accept", reader);
    case frameKinds["stream refuse"]:
      return readStreamContent("stream refuse", reader);
    case frameKinds["stream run"]:
      return readStreamContent("stream run", reader);
    case frameKinds["stream close"]:
      return readStreamContent("stream close", reader);
    case frameKinds["stream resume"]:
      return readStreamContent("stream resume", reader);
    default:
      return { kind: "unknown", kindNumber, content: bytes };
  }
}

/** Whether what a content says can be, beyond the lengths of its parts. */
export function isValidContent(content: FrameContent): boolean {
  switch (content.kind) {
    case "message":
      return content.userNumber > 0 && content.body.length <= largestBody;
    case "receipt":
      return isReceipt(content);
    case "skip":
      return content.from > 0 && content.from <= content.to;
    case "route refused":
      return content.reason > 0;
    case "unknown":
      return !Object.values<number>(frameKinds).includes(content.kindNumber);
    case "stream offer":
    case "stream accept":
    case "stream refuse":
    case "stream run":
    case "stream close":
    case "stream resume":
      return isValidStreamContent(content);
    case "route add":
    case "route ok":
    case "route end":
    case "ready":
    case "last":
    case "close":
    case "digest":
      return true;
    default:
      return content satisfies never;
  }
}

function idBytes(id: Bytes): Bytes {
  return exactly(id, routeIdLength, "route ID");
}
