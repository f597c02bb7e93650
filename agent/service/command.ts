import {
  formatQueueInfo,
  largestBody,
  latin1Bytes,
  parseAddress,
  ParseError,
  parseQueueInfo,
  type Part,
  type QueueInfo,
  type ServerAddress,
  textBytes,
} from "../../protocol/mod.ts";
import type { ReceivedMessage } from "../events.ts";
import { type ConnectionInfo, mostRoutes } from "../options.ts";
import type { AgentErrorCode } from "../protocol/error.ts";
import { formatIntegrity } from "../protocol/integrity.ts";
import type { RouteChange, SecurityReason, SessionChange } from "../store/store.ts";
import { quoted } from "./quoted.ts";
import {
  formatStreamResponse,
  parseStreamCommand,
  type StreamCommand,
  type StreamRefusalCode,
  type StreamResponse,
} from "./stream_command.ts";

/** How a session is served: who acknowledges messages, and how commands and answers are written. */
export type Mode = "manual" | "auto" | "json" | "text";

/** What a session can ask to be told besides: RCVD, ROUTE, SESSION, and all about streams. */
export type Extension = "receipts" | "routes" | "sessions" | "streams";

/** A command of a client (agent.md Plaintext agent protocol); `ACK` and those after it are additions. */
export type ServiceCommand =
  | { readonly type: "NEW" | "SUB" | "SUBALL" | "OFF" | "DEL" }
  | { readonly type: "JOIN"; readonly invitation: QueueInfo; readonly reply: boolean }
  | { readonly type: "SEND"; readonly body: Uint8Array }
  | { readonly type: "TOKEN"; readonly token: string }
  | { readonly type: "ACK"; readonly id: number }
  | { readonly type: "MODE"; readonly modes: readonly Mode[] }
  | { readonly type: "EXT"; readonly extensions: readonly Extension[] }
  /** Tells the safety code of a connection's session. */
  | { readonly type: "CODE" }
  /** The user has compared it, or takes that back. */
  | { readonly type: "VERIFY"; readonly compared: boolean | string }
  /** Moves a connection's session to new queues. */
  | { readonly type: "ROTATE" }
  /** `null`: as many as the agent's other connections have. */
  | { readonly type: "ROUTES"; readonly routes: number | null }
  | { readonly type: "LEAVE"; readonly server: ServerAddress }
  | { readonly type: "LIST" | "HELP" | "QUIT" }
  | StreamCommand;

/** The errors that are said. */
export type ServiceErrorCode = AgentErrorCode | StreamRefusalCode;

/** What follows a command's line. */
export type CommandLine =
  | { readonly ok: true; readonly command: ServiceCommand }
  | BodyLine
  | { readonly ok: false; readonly error: ServiceErrorCode };

/** A body of `size` bytes and the end of a line follow. */
export interface BodyLine {
  readonly ok: true;
  readonly size: number;
  /** Bytes that it may have, and what is said of a longer one. */
  readonly most: number;
  readonly tooLarge: ServiceErrorCode;
  /** The command with its body. */
  readonly with: (body: Uint8Array<ArrayBuffer>) => ServiceCommand;
}

/** What a session says. Only those up to `ERR` are said to clients that use no addition. */
export type ServiceResponse =
  | { readonly type: "INV"; readonly invitation: QueueInfo }
  | { readonly type: "OK" | "CON" | "END" }
  | { readonly type: "SENT"; readonly id: number }
  | { readonly type: "MSG"; readonly message: ReceivedMessage }
  | { readonly type: "ERR"; readonly error: ServiceErrorCode; readonly message: string; readonly id?: number }
  /** Answers LIST, once for each connection. `isOwn`: the session hears of it. */
  | { readonly type: "CONNECTION"; readonly info: ConnectionInfo; readonly isOwn: boolean }
  /** Ends the answers to a command that has many. */
  | { readonly type: "DONE"; readonly count: number }
  | { readonly type: "HELP"; readonly text: string }
  /** Answers CODE: 60 digits in twelve groups. */
  | { readonly type: "CODE"; readonly code: string }
  /** After EXT with `receipts` alone: the other side has done with a message. */
  | { readonly type: "RCVD"; readonly id: number }
  /** Answers LEAVE, at each change: queues that are still to move, and those that cannot. */
  | { readonly type: "LEAVING"; readonly left: number; readonly staying: number }
  /** After EXT with `routes` alone: a way between the two agents is another one now. */
  | { readonly type: "ROUTE" } & Omit<RouteChange, "type">
  /** After EXT with `sessions` alone: it has begun, is slow to begin, or the other side has deleted the connection. */
  | { readonly type: "SESSION"; readonly change: SessionChange }
  /** After EXT with `streams` alone. */
  | StreamResponse
  /** In JSON alone. */
  | { readonly type: "UP" }
  /** In JSON alone. */
  | { readonly type: "SECURITY"; readonly reason: SecurityReason };

/** Commands that are not about a connection. */
export const withoutConnection: ReadonlySet<ServiceCommand["type"]> = new Set(
  ["TOKEN", "MODE", "EXT", "LEAVE", "LIST", "HELP", "QUIT"] as const,
);

/** The modes that can be asked for. */
export const modes: readonly Mode[] = ["manual", "auto", "json", "text"];

/** The extensions that can be asked for. */
export const extensions: readonly Extension[] = ["receipts", "routes", "sessions", "streams"];

/** The names of what agents say, which clients may not. */
const responses = ["INV", "OK", "CON", "END", "SENT", "MSG", "ERR"];

/** Parses the third line of a transmission, bytes as Latin-1 characters. */
export function parseCommandLine(line: string): CommandLine {
  const [word = ""] = line.split(" ", 1);
  const rest = line.slice(word.length + 1);
  switch (word) {
    case "NEW":
    case "SUB":
    case "SUBALL":
    case "OFF":
    case "DEL":
    case "CODE":
    case "ROTATE":
    case "LIST":
    case "HELP":
    case "QUIT":
      return line === word ? { ok: true, command: { type: word } } : syntax;
    case "JOIN":
      return parseJoin(rest);
    case "SEND":
      return parseSend(rest);
    case "TOKEN":
      return rest === "" ? syntax : { ok: true, command: { type: word, token: rest } };
    case "ACK":
      return /^\d{1,15}$/.test(rest) ? { ok: true, command: { type: word, id: Number(rest) } } : syntax;
    case "MODE": {
      const asked = rest.split(" ");
      return areModes(asked) ? { ok: true, command: { type: word, modes: asked } } : syntax;
    }
    case "EXT": {
      const asked = rest.split(/[ ,]/);
      return areExtensions(asked) ? { ok: true, command: { type: word, extensions: asked } } : syntax;
    }
    case "SNEW":
    case "SJOIN":
    case "SRESUME":
    case "SPUT":
    case "SCLOSE":
      return parseStreamCommand(word, rest);
    case "ROUTES":
      return isRouteCount(Number(rest)) && rest.length === 1
        ? { ok: true, command: { type: word, routes: Number(rest) } }
        : syntax;
    case "LEAVE": {
      const server = parsedAddress(rest);
      return server === null ? syntax : { ok: true, command: { type: word, server } };
    }
    case "VERIFY":
      if (line !== word && rest !== "NOT" && !isSafetyCode(rest)) return syntax;
      return { ok: true, command: { type: word, compared: line === word || rest !== "NOT" && rest } };
    default:
      return responses.includes(word) ? { ok: false, error: "CMD PROHIBITED" } : syntax;
  }
}

/** Whether these are modes, which can be asked for together. */
export function areModes(words: readonly unknown[]): words is Mode[] {
  return areSomeOf(modes, words);
}

/** Whether these are extensions, which can be asked for together. */
export function areExtensions(words: readonly unknown[]): words is Extension[] {
  return areSomeOf(extensions, words);
}

/** Whether a connection can have so many routes. */
export function isRouteCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= mostRoutes;
}

/** A server's address; `null` for what is none. */
export function parsedAddress(text: string): ServerAddress | null {
  try {
    return parseAddress(text);
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}

function areSomeOf(known: readonly unknown[], words: readonly unknown[]): boolean {
  return words.length > 0 && words.length <= known.length && words.every((word) => known.includes(word));
}

const syntax = { ok: false, error: "CMD SYNTAX" } as const;

function parseJoin(text: string): CommandLine {
  const [info = "", option, ...more] = text.split(" ");
  if (more.length > 0 || (option !== undefined && option !== "NO_REPLY")) return syntax;
  try {
    return {
      ok: true,
      command: { type: "JOIN", invitation: parseQueueInfo(info), reply: option === undefined },
    };
  } catch (error) {
    if (error instanceof ParseError) return syntax;
    throw error;
  }
}

function parseSend(text: string): CommandLine {
  if (text.startsWith(":")) {
    return { ok: true, command: { type: "SEND", body: latin1Bytes(text.slice(1)) } };
  }
  if (!/^\d{1,15}$/.test(text)) return syntax;
  return {
    ok: true,
    size: Number(text),
    most: largestBody,
    tooLarge: "CMD LARGE",
    with: (body) => ({ type: "SEND", body }),
  };
}

/** The third line of what an agent says, without its CRLF; after a size there is a bare LF. `null` for what is not said in text. */
export function formatResponse(response: ServiceResponse): Part[] | null {
  switch (response.type) {
    case "INV":
      return [`INV ${formatQueueInfo(response.invitation)}`];
    case "OK":
    case "CON":
    case "END":
      return [response.type];
    case "SENT":
      return [`SENT ${response.id}`];
    case "MSG": {
      const { id, receivedAt, server, sender, integrity, body } = response.message;
      const received = `R=${id},${receivedAt.toISOString()}`;
      const broker = `B=${server.id},${server.at.toISOString()}`;
      const sent = `S=${sender.id},${sender.at.toISOString()}`;
      return [`MSG ${formatIntegrity(integrity)} ${received} ${broker} ${sent} ${body.length}\n`, body];
    }
    case "ERR":
      return [
        `ERR ${response.error === "INTERNAL" ? `INTERNAL ${quoted(response.message)}` : response.error}`,
      ];
    case "CONNECTION": {
      const { id, createdAt } = response.info;
      return [`CONNECTION ${id} ${new Date(createdAt).toISOString()} ${flagsOf(response).join(",") || "-"}`];
    }
    case "DONE":
      return [`DONE ${response.count}`];
    case "HELP": {
      const text = textBytes(response.text);
      return [`HELP ${text.length}\n`, text];
    }
    case "CODE":
      return [`CODE ${response.code}`];
    case "RCVD":
      return [`RCVD ${response.id}`];
    case "LEAVING":
      return [`LEAVING ${response.left} ${response.staying}`];
    case "ROUTE": {
      const { direction, change, from, to } = response;
      return [`ROUTE ${direction} ${change} ${from ?? "-"} ${to ?? "-"}`];
    }
    case "SESSION":
      return [`SESSION ${response.change}`];
    case "STREAM":
    case "SREADY":
    case "SWAIT":
    case "SDATA":
    case "SCLOSED":
      return formatStreamResponse(response);
    case "UP":
    case "SECURITY":
      return null;
    default:
      return response satisfies never;
  }
}

/** What is so of a connection in a list. */
export function flagsOf(
  { info, isOwn }: Extract<ServiceResponse, { readonly type: "CONNECTION" }>,
): string[] {
  const { connected, canSend, canReceive, suspended, session } = info;
  const flags = {
    connected,
    send: canSend,
    receive: canReceive,
    suspended,
    subscribed: isOwn,
    session: session?.active ?? false,
    verified: session?.verified ?? false,
  };
  return Object.entries(flags).flatMap(([name, isSo]) => isSo ? [name] : []);
}

/** Whether a text has the form of a safety code. */
export function isSafetyCode(text: string): boolean {
  return /^\d{5}( \d{5}){11}$/.test(text);
}

/** What HELP answers. */
export const helpText = `A command has three lines: a number of your choice, the connection's name, and one of
NEW                    makes a connection; INV brings the invitation to it
JOIN <invitation>      joins a connection, with NO_REPLY after it for sending alone
SEND :<text>           sends a line; SENT comes when the server has it
SEND <size>            sends so many bytes, which follow on the next line
SUB                    receives a connection's messages here; SUBALL those of all (any name)
OFF                    lets nobody send to you any more
DEL                    deletes a connection
ACK <id>               you have done with the message R=<id>, after MODE manual
CODE                   tells the safety code, to be compared with the other side's
VERIFY <code>          it was compared, and is the same; VERIFY NOT takes that back
ROTATE                 moves what is received to new queues, on other servers where there are some
ROUTES <n>             receives through so many servers at once, 1 to 4
The name may be empty for NEW and JOIN, and for
LIST                   lists the connections
MODE <words>           manual: messages come again until ACK; auto: the contrary
                       json: a JSON object a line from now on; text: the contrary
EXT <words>            receipts: RCVD <id> from now on, when the other side has done with a message
                       routes: ROUTE ... when a connection has moved to another server
                       sessions: SESSION active when it has a session, slow when the other side does not
                       answer its upgrade, closed when it was deleted there
                       streams: STREAM <id> <size> when the other side offers one, and these commands:
SNEW <size>            offers a stream, - for a size that is not known; SREADY comes when it is accepted
SPUT <id> <n> <size>   sends so many bytes of it, which follow; n is 1, 2 and so on; no answer, but SWAIT
                       each 5 seconds in which there is no room
SJOIN <id>             accepts one; SDATA <id> <n> <time> OK <size> and its bytes come
SRESUME <id> <n>       accepts one from SDATA n on
SCLOSE <id>            all is sent, or it is not wanted; with :<text> cancels it; SCLOSED comes at its end
LEAVE <server>         moves all that comes through a server to the others
TOKEN <token>          must be first where the agent has a token
HELP, QUIT
`;
