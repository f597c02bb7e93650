/** What clients and the agent say of streams (streams.md Interfaces). */
import { latin1Bytes, type Part, textBytes } from "../../protocol/mod.ts";
import type { StreamErrorCode } from "../stream/error.ts";
import { defaultType } from "../stream/send_file.ts";
import type { CommandLine } from "./command.ts";
import { quoted, unquoted } from "./quoted.ts";

/** Bytes of `SPUT` and `SDATA` at most. */
export const largestData = 65_536;

/** The commands about streams. */
export type StreamCommand =
  /** Offers a stream; `size`: bytes of it, `null` for not known. */
  | { readonly type: "SNEW"; readonly size: number | null; readonly name: string; readonly mediaType: string }
  /** Accepts a stream. */
  | { readonly type: "SJOIN"; readonly stream: string }
  /** Accepts it from the data with a number on. */
  | { readonly type: "SRESUME"; readonly stream: string; readonly number: number }
  | {
    readonly type: "SPUT";
    readonly stream: string;
    readonly number: number;
    readonly body: Uint8Array<ArrayBuffer>;
  }
  /** All is sent; else, or with a text, it is refused or cancelled. */
  | { readonly type: "SCLOSE"; readonly stream: string; readonly text: string | null };

/** What is said of streams. */
export type StreamResponse =
  | {
    readonly type: "STREAM";
    readonly stream: string;
    readonly size: number | null;
    readonly name: string;
    readonly mediaType: string;
  }
  /** Data of so many bytes can be put, or comes. */
  | { readonly type: "SREADY"; readonly stream: string; readonly most: number }
  /** What was put has waited for room for a while. */
  | { readonly type: "SWAIT"; readonly stream: string }
  | {
    readonly type: "SDATA";
    readonly stream: string;
    readonly number: number;
    readonly at: Date;
    readonly body: Uint8Array<ArrayBuffer>;
  }
  /** `null`: all of it was received. `text`: what the other side says about it. */
  | {
    readonly type: "SCLOSED";
    readonly stream: string;
    readonly error: StreamErrorCode | null;
    readonly text: string;
  };

/** Why a command about a stream is refused. */
export type StreamRefusalCode = `STREAM ${"UNKNOWN" | "CLOSED" | "SIZE" | "ORDER" | "REFUSED"}`;

/** A command about a stream is refused, and changes nothing. */
export class StreamRefusal extends Error {
  /** The class name. */
  override readonly name = "StreamRefusal";
  /** As it is said. */
  readonly code: StreamRefusalCode;

  /** Takes the code and a message for people. */
  constructor(code: StreamRefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const syntax = { ok: false, error: "CMD SYNTAX" } as const;

/** Parses what follows the name of a command, bytes as Latin-1 characters. */
export function parseStreamCommand(type: StreamCommand["type"], rest: string): CommandLine {
  if (type === "SNEW") return parseNew(rest);
  const [stream = ""] = rest.split(" ", 1);
  if (!isStreamId(stream)) return syntax;
  const more = rest.slice(stream.length);
  switch (type) {
    case "SJOIN":
      return more === "" ? { ok: true, command: { type, stream } } : syntax;
    case "SRESUME": {
      const number = /^ ([1-9]\d{0,14})$/.exec(more)?.[1];
      return number === undefined ? syntax : { ok: true, command: { type, stream, number: Number(number) } };
    }
    case "SPUT": {
      const [, number, size] = /^ (\d{1,15}) (\d{1,15})$/.exec(more) ?? [];
      if (number === undefined) return syntax;
      return {
        ok: true,
        size: Number(size),
        most: largestData,
        tooLarge: "STREAM SIZE",
        with: (body) => ({ type, stream, number: Number(number), body }),
      };
    }
    case "SCLOSE": {
      if (more === "") return { ok: true, command: { type, stream, text: null } };
      const text = more.startsWith(" :") ? utf8(more.slice(2)) : null;
      return text === null ? syntax : { ok: true, command: { type, stream, text } };
    }
    default:
      return type satisfies never;
  }
}

function parseNew(rest: string): CommandLine {
  const [, length, mediaType, name] = /^(\d{1,15}|-)(?: ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*"))?$/.exec(
    utf8(rest) ?? "",
  ) ?? [];
  if (length === undefined) return syntax;
  const command = {
    type: "SNEW",
    size: length === "-" ? null : Number(length),
    name: name === undefined ? "" : unquoted(name),
    mediaType: mediaType === undefined ? defaultType : unquoted(mediaType),
  } as const;
  return isDescription(command) ? { ok: true, command } : syntax;
}

/** Whether these are 32 hexadecimal digits. */
export function isStreamId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
}

/** Whether a stream can be offered so. */
export function isDescription<
  T extends { readonly size: unknown; readonly name: unknown; readonly mediaType: unknown },
>(
  what: T,
): what is T & { readonly size: number | null; readonly name: string; readonly mediaType: string } {
  const { size, name, mediaType } = what;
  return (size === null || Number.isInteger(size) && (size as number) >= 0 && (size as number) < 2 ** 48) &&
    typeof name === "string" && name.isWellFormed() && textBytes(name).length <= 255 &&
    typeof mediaType === "string" && /^[ -~]{0,127}$/.test(mediaType);
}

/** The third line of what is said of a stream. */
export function formatStreamResponse(response: StreamResponse): Part[] {
  const { type, stream } = response;
  switch (type) {
    case "STREAM": {
      const { size, name, mediaType } = response;
      const isPlain = name === "" && mediaType === defaultType;
      const more = isPlain ? "" : ` ${quoted(mediaType)} ${quoted(name)}`;
      return [`${type} ${stream} ${size ?? "-"}${more}`];
    }
    case "SREADY":
      return [`${type} ${stream} ${response.most}`];
    case "SWAIT":
      return [`${type} ${stream}`];
    case "SDATA": {
      const { number, at, body } = response;
      return [`${type} ${stream} ${number} ${at.toISOString()} OK ${body.length}\n`, body];
    }
    case "SCLOSED": {
      const { error, text } = response;
      const why = error === null ? "" : ` ${error}${text === "" ? "" : ` ${quoted(text)}`}`;
      return [`${type} ${stream}${why}`];
    }
    default:
      return response satisfies never;
  }
}

/** Text whose bytes are given as Latin-1 characters; `null` when they are not UTF-8. */
export function utf8(bytes: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(latin1Bytes(bytes));
  } catch {
    return null;
  }
}
