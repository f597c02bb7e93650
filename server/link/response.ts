import { type ServerResponse, type SmpErrorCode, smpErrorCodes } from "../../protocol/mod.ts";
import { frameError } from "./error.ts";
import type { FrameReader, FrameWriter } from "./wire.ts";

/** What a broker says; REKEY is of the session. */
type BrokerResponse = Exclude<ServerResponse, { type: "REKEY" }>;

const types = ["OK", "PONG", "END", "IDS", "MSG", "ERR"] as const satisfies readonly BrokerResponse["type"][];
const errorNumbers: ReadonlyMap<SmpErrorCode, number> = new Map(smpErrorCodes.map((code, i) => [code, i]));

/** Writes a response as the last part of a frame. */
export function writeResponse(writer: FrameWriter, response: ServerResponse): void {
  if (response.type === "REKEY") throw new TypeError("Cannot write a response: REKEY is of the session");
  writer.uint8(types.indexOf(response.type));
  switch (response.type) {
    case "OK":
    case "PONG":
    case "END":
      return;
    case "IDS":
      writer.text(response.recipientId);
      return writer.text(response.senderId);
    case "MSG":
      writer.text(response.messageId);
      writer.float64(response.timestamp.getTime());
      return writer.rest(response.body);
    case "ERR":
      return writer.uint8(errorNumbers.get(response.error)!);
    default:
      return response satisfies never;
  }
}

/** Reads what `writeResponse` wrote. Throws `LinkError` (`FRAME`). */
export function readResponse(reader: FrameReader): BrokerResponse {
  const number = reader.uint8();
  const type = types[number];
  switch (type) {
    case "OK":
    case "PONG":
    case "END":
      return { type };
    case "IDS":
      return { type, recipientId: reader.text(), senderId: reader.text() };
    case "MSG":
      return { type, messageId: reader.text(), timestamp: readDate(reader), body: reader.rest() };
    case "ERR":
      return { type, error: readError(reader) };
    case undefined:
      throw frameError(`there is no response ${number}`);
    default:
      return type satisfies never;
  }
}

/** Milliseconds of the years that a timestamp can have, 0 to 9999. */
const earliest = Date.parse("0000-01-01T00:00:00.000Z");
const latest = Date.parse("9999-12-31T23:59:59.999Z");

function readDate(reader: FrameReader): Date {
  const time = reader.float64();
  if (Number.isInteger(time) && time >= earliest && time <= latest) return new Date(time);
  throw frameError("a time is no whole number of milliseconds of the years 0 to 9999");
}

function readError(reader: FrameReader): SmpErrorCode {
  const number = reader.uint8();
  const error = smpErrorCodes[number];
  if (error === undefined) throw frameError(`there is no error ${number}`);
  return error;
}
