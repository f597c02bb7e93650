import {
  formatQueueInfo,
  latin1Bytes,
  ParseError,
  parseQueueInfo,
  type Part,
  type QueueInfo,
} from "../../protocol/mod.ts";
import type { ReceivedMessage } from "../events.ts";
import type { AgentErrorCode } from "../protocol/error.ts";
import { formatIntegrity } from "../protocol/integrity.ts";

/** A command of a client in the plaintext protocol (agent.md Plaintext agent protocol). */
export type ServiceCommand =
  | { readonly type: "NEW" | "SUB" | "SUBALL" | "OFF" | "DEL" }
  | { readonly type: "JOIN"; readonly invitation: QueueInfo; readonly reply: boolean }
  | { readonly type: "SEND"; readonly body: Uint8Array }
  | { readonly type: "TOKEN"; readonly token: string };

/** What follows a command's line. */
export type CommandLine =
  | { readonly ok: true; readonly command: ServiceCommand }
  /** A body of `size` bytes and the end of a line follow. */
  | { readonly ok: true; readonly size: number }
  | { readonly ok: false; readonly error: AgentErrorCode };

/** What an agent says in the plaintext protocol. */
export type ServiceResponse =
  | { readonly type: "INV"; readonly invitation: QueueInfo }
  | { readonly type: "OK" | "CON" | "END" }
  | { readonly type: "SENT"; readonly id: number }
  | { readonly type: "MSG"; readonly message: ReceivedMessage }
  | { readonly type: "ERR"; readonly error: AgentErrorCode; readonly message: string };

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
      return line === word ? { ok: true, command: { type: word } } : syntax;
    case "JOIN":
      return parseJoin(rest);
    case "SEND":
      return parseSend(rest);
    case "TOKEN":
      return rest === "" ? syntax : { ok: true, command: { type: word, token: rest } };
    default:
      return responses.includes(word) ? { ok: false, error: "CMD PROHIBITED" } : syntax;
  }
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
  return /^\d{1,15}$/.test(text) ? { ok: true, size: Number(text) } : syntax;
}

/** The third line of what an agent says, without its CRLF; after `MSG`'s size there is a bare LF. */
export function formatResponse(response: ServiceResponse): Part[] {
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
    default:
      return response satisfies never;
  }
}

/** A text in quotes on one line, ASCII alone. */
function quoted(text: string): string {
  const escaped = JSON.stringify(text).replace(
    /[^\x20-\x7e]/gu,
    (char) => `\\u${char.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
  return escaped;
}
