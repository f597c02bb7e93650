import {
  decodeBase64,
  encodeBase64,
  formatAddress,
  formatQueueInfo,
  latin1Bytes,
  ParseError,
  parseQueueInfo,
  type ServerAddress,
  textBytes,
} from "../../protocol/mod.ts";
import type { SessionInfo } from "../options.ts";
import type { AgentErrorCode } from "../protocol/error.ts";
import {
  areExtensions,
  areModes,
  flagsOf,
  isRouteCount,
  isSafetyCode,
  parsedAddress,
  type ServiceCommand,
  type ServiceResponse,
} from "./command.ts";
import { isDescription, isStreamId } from "./stream_command.ts";
import { defaultType } from "../stream/send_file.ts";

/** What an answer repeats of its request. */
export type RequestId = string | number;

/** A line of a client in the mode `json`. */
export type JsonRequest =
  | {
    readonly ok: true;
    readonly id: RequestId;
    readonly connection: string;
    readonly command: ServiceCommand;
  }
  | {
    readonly ok: false;
    /** `null` where it cannot be read. */
    readonly id: RequestId | null;
    readonly error: AgentErrorCode;
    readonly reason: string;
  };

type Fields = Readonly<Record<string, unknown>>;

/** What commands may have besides `id` and `command`. */
const fieldsOf: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["NEW", ["connection"]],
  ["JOIN", ["connection", "invitation", "reply"]],
  ["SUB", ["connection"]],
  ["SUBALL", []],
  ["SEND", ["connection", "text", "data"]],
  ["ACK", ["connection", "message"]],
  ["OFF", ["connection"]],
  ["DEL", ["connection"]],
  ["CODE", ["connection"]],
  ["VERIFY", ["connection", "verified", "code"]],
  ["ROTATE", ["connection"]],
  ["ROUTES", ["connection", "routes"]],
  ["LEAVE", ["server"]],
  ["LIST", []],
  ["HELP", []],
  ["QUIT", []],
  ["MODE", ["modes"]],
  ["EXT", ["extensions"]],
  ["TOKEN", ["token"]],
  ["SNEW", ["connection", "size", "name", "mediaType"]],
  ["SJOIN", ["connection", "stream"]],
  ["SRESUME", ["connection", "stream", "number"]],
  ["SPUT", ["connection", "stream", "number", "data"]],
  ["SCLOSE", ["connection", "stream", "text"]],
]);

/** A request cannot be used. */
class RequestError extends Error {}

/** Parses a line, bytes as Latin-1 characters. Never throws: what is wrong is a value. */
export function parseJsonRequest(line: string): JsonRequest {
  let id: RequestId | null = null;
  try {
    const fields = parseObject(line);
    id = readId(fields["id"]);
    const connection = readConnection(fields["connection"]);
    return { ok: true, id, connection, command: readCommand(fields) };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { ok: false, id, error: "CMD SYNTAX", reason: error.message };
  }
}

function parseObject(line: string): Fields {
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(latin1Bytes(line));
    value = JSON.parse(text);
  } catch {
    // Not UTF-8, not JSON, or nested too deeply.
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new RequestError("a line is not a JSON object");
}

function readId(value: unknown): RequestId {
  if (Number.isSafeInteger(value)) return value as number;
  // It may be written in a line of its own.
  if (typeof value === "string" && /^[\x20-\x7e]{1,256}$/.test(value)) return value;
  throw new RequestError("id is not a whole number, nor a text of 1 to 256 printable ASCII characters");
}

function readConnection(value: unknown = ""): string {
  // deno-lint-ignore no-control-regex
  if (typeof value === "string" && value.isWellFormed() && !/[\0-\x1f\x7f]/.test(value)) return value;
  throw new RequestError("connection is not a text of one line");
}

function readCommand(fields: Fields): ServiceCommand {
  const { command: type } = fields as { readonly command: ServiceCommand["type"] };
  const known = fieldsOf.get(type);
  if (known === undefined) throw new RequestError("command is not one of those that HELP lists");
  for (const name of Object.keys(fields)) {
    if (name === "id" || name === "command" || known.includes(name)) continue;
    throw new RequestError(`${type} has no field ${JSON.stringify(name.slice(0, 64))}`);
  }
  switch (type) {
    case "JOIN": {
      const { invitation, reply = true } = fields;
      if (typeof reply !== "boolean") throw new RequestError("reply is neither true nor false");
      return { type, invitation: readInvitation(invitation), reply };
    }
    case "SEND":
      return { type, body: readBody(fields) };
    case "ACK": {
      const { message } = fields;
      if (Number.isSafeInteger(message)) return { type, id: message as number };
      throw new RequestError("message is not a whole number");
    }
    case "MODE": {
      const { modes } = fields;
      if (Array.isArray(modes) && areModes(modes)) return { type, modes };
      throw new RequestError("modes is not a list of manual, auto, json or text");
    }
    case "EXT": {
      const { extensions } = fields;
      if (Array.isArray(extensions) && areExtensions(extensions)) return { type, extensions };
      throw new RequestError("extensions is not a list of receipts, routes, sessions or streams");
    }
    case "ROUTES": {
      const { routes = null } = fields;
      if (routes === null || isRouteCount(routes)) return { type, routes };
      throw new RequestError("routes is not a number from 1 to 4");
    }
    case "LEAVE": {
      const { server } = fields;
      const address = typeof server === "string" ? parsedAddress(server) : null;
      if (address !== null) return { type, server: address };
      throw new RequestError("server is not the address of a server");
    }
    case "SNEW": {
      const { size = null, name = "", mediaType = defaultType } = fields;
      const command = { type, size, name, mediaType };
      if (isDescription(command)) return command;
      throw new RequestError(
        "size is not a number of bytes, name not a text of 255 bytes, or mediaType not 127 printable ASCII characters",
      );
    }
    case "SJOIN":
      return { type, stream: readStream(fields) };
    case "SRESUME":
      return { type, stream: readStream(fields), number: readNumber(fields) };
    case "SPUT": {
      const { data } = fields;
      const body = typeof data === "string" ? decodeBase64(data) : null;
      if (body === null) throw new RequestError("data is not base64");
      return { type, stream: readStream(fields), number: readNumber(fields), body };
    }
    case "SCLOSE": {
      const { text = null } = fields;
      if (text !== null && (typeof text !== "string" || !text.isWellFormed())) {
        throw new RequestError("text is not a text");
      }
      return { type, stream: readStream(fields), text };
    }
    case "VERIFY": {
      const { verified = true, code } = fields;
      if (typeof verified !== "boolean") throw new RequestError("verified is neither true nor false");
      if (code === undefined) return { type, compared: verified };
      if (typeof code === "string" && isSafetyCode(code)) return { type, compared: verified && code };
      throw new RequestError("code is not a safety code");
    }
    case "TOKEN": {
      const { token } = fields;
      if (typeof token === "string") return { type, token };
      throw new RequestError("token is not a text");
    }
    default:
      return { type };
  }
}

function readStream({ stream }: Fields): string {
  if (isStreamId(stream)) return stream;
  throw new RequestError("stream is not what STREAM has brought");
}

function readNumber({ number }: Fields): number {
  if (Number.isSafeInteger(number) && (number as number) >= 1) return number as number;
  throw new RequestError("number is not a whole number from 1 on");
}

function readInvitation(value: unknown) {
  try {
    if (typeof value === "string") return parseQueueInfo(value);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
  throw new RequestError("invitation is not what INV has brought");
}

function readBody({ text, data }: Fields): Uint8Array {
  if ((text === undefined) === (data === undefined)) throw new RequestError("SEND needs text or data");
  if (data === undefined) {
    if (typeof text === "string" && text.isWellFormed()) return textBytes(text);
    throw new RequestError("text is not a text");
  }
  const body = typeof data === "string" ? decodeBase64(data) : null;
  if (body === null) throw new RequestError("data is not base64");
  return body;
}

/** What is said in the mode `json`, a line without its end; without an ID it is a notification. */
export function formatJson(id: RequestId | null, connection: string, response: ServiceResponse): string {
  return JSON.stringify({
    ...(id !== null && { id }),
    type: response.type,
    ...(connection !== "" && { connection }),
    ...contentOf(response),
  });
}

function contentOf(response: ServiceResponse): Fields {
  switch (response.type) {
    case "OK":
    case "CON":
    case "END":
    case "UP":
      return {};
    case "INV":
      return { invitation: formatQueueInfo(response.invitation) };
    case "SENT":
    case "RCVD":
      return { message: response.id };
    case "LEAVING":
      return { left: response.left, staying: response.staying };
    case "SESSION":
      return { change: response.change };
    case "ROUTE": {
      const { direction, change, from, to } = response;
      return { direction, change, from, to };
    }
    case "CODE":
      return { code: response.code };
    case "MSG": {
      const { id, receivedAt, server, sender, integrity, body } = response.message;
      const text = textOf(body);
      return {
        message: id,
        received: receivedAt,
        server,
        sender,
        integrity,
        data: encodeBase64(body),
        ...(text !== null && { text }),
      };
    }
    case "ERR": {
      const { error, message: reason, id: message } = response;
      return { error, ...(reason !== "" && { reason }), ...(message !== undefined && { message }) };
    }
    case "CONNECTION": {
      const { id: connectionId, createdAt, unreadable, session } = response.info;
      return {
        connectionId,
        created: new Date(createdAt),
        flags: flagsOf(response),
        unreadable,
        ...(session !== null && { session: sessionOf(session) }),
      };
    }
    case "DONE":
      return { count: response.count };
    case "HELP":
      return { text: response.text };
    case "STREAM": {
      const { stream, size, name, mediaType } = response;
      return { stream, size, name, mediaType };
    }
    case "SREADY":
      return { stream: response.stream, most: response.most };
    case "SWAIT":
      return { stream: response.stream };
    case "SDATA": {
      const { stream, number, at, body } = response;
      return { stream, number, received: at, status: "OK", data: encodeBase64(body) };
    }
    case "SCLOSED": {
      const { stream, error, text } = response;
      return { stream, ...(error !== null && { error }), ...(text !== "" && { text }) };
    }
    case "SECURITY":
      return { reason: response.reason };
    default:
      return response satisfies never;
  }
}

function sessionOf(
  { active, closed, since, verified, servers: { receiving, sending } }: SessionInfo,
): Fields {
  return {
    active,
    closed,
    since: since === null ? null : new Date(since),
    verified,
    servers: { receiving: namesOf(receiving), sending: namesOf(sending) },
  };
}

function namesOf(servers: readonly ServerAddress[]): string[] {
  return [...new Set(servers.map(formatAddress))];
}

function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}
