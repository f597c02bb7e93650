/** The content of frames of streams. */
import { asciiText, textBytes } from "../bytes.ts";
import { type ByteReader, concat, exactly, numberBytes } from "../ratchet/_bytes.ts";
import { encodeRouteRecord, readRouteRecord, type RouteRecord } from "../ratchet/route_record.ts";
import { largestChunk } from "./chunk.ts";
import {
  largestStreamWindow,
  longestReasonText,
  longestStreamName,
  longestStreamType,
  mostStreamRoutes,
  type StreamContent,
  streamIdLength,
  streamKeyLength,
  type StreamOfferContent,
} from "./content.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const hashLength = 32;
const sizeFlag = 1, hashFlag = 2;
const fromReceiver = 1;
const noBytes = new Uint8Array(0);
const largest = largestChunk(65_536);

/** The bytes of a content of a stream's frame. `RangeError` for parts of other lengths. */
export function encodeStreamContent(content: StreamContent): Bytes {
  const id = exactly(content.streamId, streamIdLength, "stream ID");
  switch (content.kind) {
    case "stream offer":
      return concat(id, ...offerParts(content));
    case "stream accept":
    case "stream resume": {
      const { offset, window, routes } = content;
      return concat(
        id,
        numberBytes(offset, 6, "offset"),
        numberBytes(window, 1, "window"),
        numberBytes(routes.length, 1, "number of routes"),
        ...routes.map(encodeRouteRecord),
      );
    }
    case "stream refuse":
      return concat(id, numberBytes(content.reason, 1, "reason"), ...textParts(content.text));
    case "stream run":
      return concat(
        id,
        exactly(content.run, streamIdLength, "run"),
        numberBytes(content.offset, 6, "offset"),
        numberBytes(content.chunkSize, 4, "chunk size"),
      );
    case "stream close":
      return concat(
        id,
        Uint8Array.of(content.from === "receiver" ? fromReceiver : 0),
        numberBytes(content.reason, 1, "reason"),
        numberBytes(content.total, 6, "total"),
        ...textParts(content.text),
      );
    default:
      return content satisfies never;
  }
}

/** Reads a content, whose memory its parts are; `null` when it cannot be. Whether it is complete says the reader. */
export function readStreamContent(kind: StreamContent["kind"], reader: ByteReader): StreamContent | null {
  const streamId = reader.bytes(streamIdLength);
  switch (kind) {
    case "stream offer":
      return readOffer(streamId, reader);
    case "stream accept":
    case "stream resume": {
      const offset = reader.u48(), window = reader.u8(), count = reader.u8();
      if (count > mostStreamRoutes) return null;
      const routes: RouteRecord[] = [];
      for (let i = 0; i < count; i++) {
        const route = readRouteRecord(reader);
        if (route === null) return null;
        routes.push(route);
      }
      return { kind, streamId, offset, window, routes };
    }
    case "stream refuse": {
      const reason = reader.u8(), text = readText(reader);
      return text === null ? null : { kind, streamId, reason, text };
    }
    case "stream run": {
      const run = reader.bytes(streamIdLength), offset = reader.u48(), chunkSize = reader.u32();
      return { kind, streamId, run, offset, chunkSize };
    }
    case "stream close": {
      const side = reader.u8(), reason = reader.u8(), total = reader.u48(), text = readText(reader);
      if (text === null || side > fromReceiver) return null;
      return { kind, streamId, from: side === fromReceiver ? "receiver" : "sender", reason, total, text };
    }
    default:
      return kind satisfies never;
  }
}

/** Whether what a content says can be, beyond the lengths of its parts. */
export function isValidStreamContent(content: StreamContent): boolean {
  switch (content.kind) {
    case "stream offer": {
      const { name, mediaType } = content;
      return textBytes(name).length <= longestStreamName && mediaType.length <= longestStreamType &&
        /^[ -~]*$/.test(mediaType);
    }
    case "stream accept":
      return hasWay(content);
    case "stream resume":
      return hasWay(content) || content.window === 0 && content.routes.length === 0 && content.offset === 0;
    case "stream refuse":
      return content.reason > 0 && textBytes(content.text).length <= longestReasonText;
    case "stream run":
      return content.chunkSize > 0 && content.chunkSize <= largest;
    case "stream close": {
      // Who sends does not know that all has come.
      const { reason, from, text } = content;
      return (reason > 0 || from === "receiver") && textBytes(text).length <= longestReasonText;
    }
    default:
      return content satisfies never;
  }
}

function hasWay(
  { window, routes }: { readonly window: number; readonly routes: readonly RouteRecord[] },
): boolean {
  return window > 0 && window <= largestStreamWindow && routes.length > 0 &&
    routes.length <= mostStreamRoutes;
}

function offerParts({ key, name, mediaType, size, sha256 }: StreamOfferContent): Bytes[] {
  const nameBytes = textBytes(name), typeBytes = textBytes(mediaType);
  return [
    exactly(key, streamKeyLength, "stream key"),
    Uint8Array.of((size === null ? 0 : sizeFlag) | (sha256 === null ? 0 : hashFlag)),
    size === null ? noBytes : numberBytes(size, 6, "size"),
    sha256 === null ? noBytes : exactly(sha256, hashLength, "SHA-256"),
    numberBytes(nameBytes.length, 1, "length of the name"),
    nameBytes,
    numberBytes(typeBytes.length, 1, "length of the type"),
    typeBytes,
  ];
}

function readOffer(streamId: Bytes, reader: ByteReader): StreamOfferContent | null {
  const key = reader.bytes(streamKeyLength), flags = reader.u8();
  if (flags > (sizeFlag | hashFlag)) return null;
  const size = (flags & sizeFlag) === 0 ? null : reader.u48();
  const sha256 = (flags & hashFlag) === 0 ? null : reader.bytes(hashLength);
  const name = readText(reader);
  const mediaType = asciiText(reader.bytes(reader.u8()));
  return name === null ? null : { kind: "stream offer", streamId, key, name, mediaType, size, sha256 };
}

function textParts(text: string): Bytes[] {
  const bytes = textBytes(text);
  return [numberBytes(bytes.length, 1, "length of the text"), bytes];
}

/** Text that is UTF-8 and has a length before it. */
function readText(reader: ByteReader): string | null {
  const bytes = reader.bytes(reader.u8());
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
