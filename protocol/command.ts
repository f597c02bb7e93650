import { base64Length, decodeBase64, encodeBase64 } from "./base64.ts";
import { asciiText, type Part } from "./bytes.ts";
import {
  decodePublicKey,
  encodePublicKeyText,
  type PublicKey,
  publicKeyTextLength,
} from "./crypto/public_key.ts";
import { ParseError, type SmpErrorCode, smpErrorCodes } from "./error.ts";

/** A command of an SMP client (smp.md Commands). */
export type ClientCommand =
  | { readonly type: "NEW"; readonly recipientKey: PublicKey }
  | { readonly type: "SUB" }
  | { readonly type: "KEY"; readonly senderKey: PublicKey }
  | { readonly type: "ACK" }
  | { readonly type: "OFF" }
  | { readonly type: "DEL" }
  | { readonly type: "SEND"; readonly body: Uint8Array }
  | { readonly type: "PING" }
  /** extensions.md open1; base64 of what names the session. */
  | { readonly type: "OPEN"; readonly binding: string }
  /** extensions.md window1; how many messages may be unacknowledged, 1 to {@linkcode largestWindow}. */
  | { readonly type: "SUBN"; readonly window: number }
  /** extensions.md window1; base64 of the last message that is acknowledged. */
  | { readonly type: "ACKM"; readonly messageId: string }
  /** extensions.md pass1; what `passwordProof` makes of a password. Empty where it was not base64. */
  | { readonly type: "PASS"; readonly proof: Uint8Array }
  | Rekey;

/** extensions.md rekey1; from either side. Empty where it was not base64. */
export interface Rekey {
  /** The kind of command. */
  readonly type: "REKEY";
  /** Keys, or a key and a ciphertext, raw. */
  readonly payload: Uint8Array;
}

/** A response or notification of an SMP server (smp.md Commands). IDs are base64 of raw random bytes. */
export type ServerResponse =
  | { readonly type: "IDS"; readonly recipientId: string; readonly senderId: string }
  | {
    readonly type: "MSG";
    readonly messageId: string;
    /** When the server took the message; whole milliseconds, years 0 to 9999. */
    readonly timestamp: Date;
    readonly body: Uint8Array;
  }
  | { readonly type: "END" }
  | { readonly type: "OK" }
  | { readonly type: "ERR"; readonly error: SmpErrorCode }
  | { readonly type: "PONG" }
  | Rekey;

/** The most messages of one queue that may be delivered and unacknowledged at a time (extensions.md window1). */
export const largestWindow = 128;

/** Anything that can stand in the command's place of a transmission. */
export type Command = ClientCommand | ServerResponse;

/** Whether a parsed command is one that clients send. */
export function isClientCommand(command: Command): command is ClientCommand {
  return clientCommands.has(command.type);
}

const clientCommands: ReadonlySet<string> = new Set([
  "NEW",
  "SUB",
  "KEY",
  "ACK",
  "OFF",
  "DEL",
  "SEND",
  "PING",
  "OPEN",
  "SUBN",
  "ACKM",
  "PASS",
  "REKEY",
]);
const space = 0x20;
/** Share of a block from which on a body is not copied. */
const mostOfBlock = 7 / 8;

/** The canonical encoding of a command, in parts and without the space that ends it. */
export function commandParts(command: Command): Part[] {
  switch (command.type) {
    case "NEW":
      return ["NEW ", encodePublicKeyText(command.recipientKey)];
    case "KEY":
      return ["KEY ", encodePublicKeyText(command.senderKey)];
    case "SEND":
      return [`SEND ${command.body.length} `, command.body, " "];
    case "IDS":
      return [`IDS ${command.recipientId} ${command.senderId}`];
    case "MSG": {
      const { messageId, timestamp, body } = command;
      return [`MSG ${messageId} ${timestamp.toISOString()} ${body.length} `, body, " "];
    }
    case "ERR":
      return [`ERR ${command.error}`];
    case "OPEN":
      return [`OPEN ${command.binding}`];
    case "SUBN":
      return [`SUBN ${command.window}`];
    case "ACKM":
      return [`ACKM ${command.messageId}`];
    case "REKEY":
      return ["REKEY ", encodeBase64(command.payload)];
    case "PASS":
      return ["PASS ", encodeBase64(command.proof)];
    case "SUB":
    case "ACK":
    case "OFF":
    case "DEL":
    case "PING":
    case "END":
    case "OK":
    case "PONG":
      return [command.type];
    default:
      return command satisfies never;
  }
}

/** The number of bytes that {@linkcode commandParts} make, without making them. */
export function commandLength(command: Command): number {
  switch (command.type) {
    case "NEW":
      return 4 + publicKeyTextLength(command.recipientKey);
    case "KEY":
      return 4 + publicKeyTextLength(command.senderKey);
    case "SEND":
      return 5 + bodyLength(command.body);
    case "IDS":
      return 5 + command.recipientId.length + command.senderId.length;
    case "MSG":
      return 4 + command.messageId.length + 1 + timestampLength + 1 + bodyLength(command.body);
    case "ERR":
      return 4 + command.error.length;
    case "OPEN":
      return 5 + command.binding.length;
    case "SUBN":
      return 5 + String(command.window).length;
    case "ACKM":
      return 5 + command.messageId.length;
    case "REKEY":
      return 6 + base64Length(command.payload.length);
    case "PASS":
      return 5 + base64Length(command.proof.length);
    default:
      return command.type.length;
  }
}

/** `YYYY-MM-DDTHH:MM:SS.mmmZ` */
const timestampLength = 24;

/** `<size> <body> ` */
function bodyLength({ length }: Uint8Array): number {
  return String(length).length + 1 + length + 1;
}

/** A command and the index after the space that ends it. */
export interface ParsedCommand {
  readonly command: Command;
  readonly end: number;
}

/**
 * Parses the command that begins at `start` and the space after it, and nothing more; `null` when there is none.
 * Bodies are copied, but those of SEND that are nearly all of `bytes`: they stay part of them.
 */
export function parseCommand(bytes: Uint8Array, start: number): ParsedCommand | null {
  const words = new Words(bytes, start);
  const command = parseWords(words);
  return command === null ? null : { command, end: words.at };
}

function parseWords(words: Words): Command | null {
  const name = words.next(5);
  switch (name) {
    case "SUB":
    case "ACK":
    case "OFF":
    case "DEL":
    case "PING":
    case "END":
    case "OK":
    case "PONG":
      return { type: name };
    case "NEW": {
      const recipientKey = words.publicKey();
      return recipientKey && { type: name, recipientKey };
    }
    case "KEY": {
      const senderKey = words.publicKey();
      return senderKey && { type: name, senderKey };
    }
    case "SEND": {
      const body = words.body();
      // What is kept of a block beside a body takes memory, too.
      return body && { type: name, body: body.length >= words.length * mostOfBlock ? body : body.slice() };
    }
    case "IDS": {
      const recipientId = words.base64();
      const senderId = words.base64();
      return recipientId !== null && senderId !== null ? { type: name, recipientId, senderId } : null;
    }
    case "MSG": {
      const messageId = words.base64();
      const timestamp = words.timestamp();
      const body = words.body();
      return messageId !== null && timestamp !== null && body !== null
        ? { type: name, messageId, timestamp, body: body.slice() }
        : null;
    }
    case "ERR": {
      const error = words.error();
      return error && { type: name, error };
    }
    case "OPEN": {
      const binding = words.base64();
      return binding === null ? null : { type: name, binding };
    }
    case "SUBN": {
      const window = words.number(largestWindow);
      return window === null ? null : { type: name, window };
    }
    case "ACKM": {
      const messageId = words.base64();
      return messageId === null ? null : { type: name, messageId };
    }
    case "REKEY": {
      const payload = words.payload();
      return payload && { type: name, payload };
    }
    case "PASS": {
      const proof = words.payload();
      return proof && { type: name, proof };
    }
    default:
      return null;
  }
}

/** Reads what stands between single spaces; `null` where it is not what is asked for. Each byte is looked at once. */
class Words {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Bytes in all, other words included. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes up to the next space, which is stepped over, unless they are more than `most`. */
  #word(most: number): Uint8Array | null {
    const end = this.#bytes.indexOf(space, this.at);
    if (end < 0 || end - this.at > most) return null;
    const word = this.#bytes.subarray(this.at, end);
    this.at = end + 1;
    return word;
  }

  next(most: number): string | null {
    const word = this.#word(most);
    return word && asciiText(word);
  }

  base64(): string | null {
    const word = this.#word(Infinity);
    return word !== null && word.length > 0 && decodeBase64(word) !== null ? asciiText(word) : null;
  }

  /** A number from 1 to `most`. */
  number(most: number): number | null {
    const text = this.next(String(most).length);
    const number = text !== null && /^\d+$/.test(text) ? Number(text) : 0;
    return number >= 1 && number <= most ? number : null;
  }

  /** Any bytes of base64, none where it is not. */
  payload(): Uint8Array | null {
    const word = this.#word(Infinity);
    return word && (decodeBase64(word) ?? new Uint8Array(0));
  }

  publicKey(): PublicKey | null {
    const word = this.#word(Infinity);
    if (word === null || asciiText(word, 0, Math.min(4, word.length)) !== "rsa:") return null;
    const der = decodeBase64(word.subarray(4));
    if (der === null) return null;
    try {
      return decodePublicKey(der);
    } catch (error) {
      if (error instanceof ParseError) return null;
      throw error;
    }
  }

  /** `<size> <body> ` and the space after it: the size may have leading zeros, as the reference takes it. */
  body(): Uint8Array | null {
    const digits = this.#word(Infinity);
    if (digits === null || digits.length === 0) return null;
    let size = 0;
    for (const digit of digits) {
      if (digit < 0x30 || digit > 0x39) return null;
      size = size * 10 + digit - 0x30;
      if (size > this.#bytes.length) return null;
    }
    const end = this.at + size;
    if (this.#bytes[end] !== space || this.#bytes[end + 1] !== space) return null;
    const body = this.#bytes.subarray(this.at, end);
    this.at = end + 2;
    return body;
  }

  timestamp(): Date | null {
    const text = this.next(40);
    const match = text && /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?Z$/.exec(text);
    if (!match) return null;
    const date = new Date(`${match[1]}.${(match[2] ?? "").slice(0, 3).padEnd(3, "0")}Z`);
    return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(match[1]!) ? date : null;
  }

  error(): SmpErrorCode | null {
    const first = this.next(10);
    const code = first === "CMD" ? `CMD ${this.next(10)}` : first;
    return smpErrorCodes.find((known) => known === code) ?? null;
  }
}
