import {
  asciiText,
  decodeBase64,
  encodeBase64,
  encodePublicKeyText,
  formatQueueInfo,
  isKeySize,
  joinParts,
  ParseError,
  parsePublicKeyText,
  parseQueueInfo,
  type Part,
  type PublicKey,
  type QueueInfo,
} from "../../protocol/mod.ts";

/** What one agent tells the other, before it is encrypted (agent.md Agent-to-agent messages). */
export type AgentMessage =
  /** The sender's key, with which the recipient secures the queue. */
  | { readonly type: "KEY"; readonly senderKey: PublicKey }
  | Numbered<{ readonly type: "HELLO"; readonly verificationKey: PublicKey; readonly noAck: boolean }>
  /** The queue for the other direction. */
  | Numbered<{ readonly type: "REPLY"; readonly queueInfo: QueueInfo }>
  | Numbered<{ readonly type: "MSG"; readonly body: Uint8Array }>;

/** What every message but `KEY` has. */
export type Numbered<T> = T & {
  /** The sender's number of its user messages, from 1; 0 for others. */
  readonly id: number;
  /** When the sender made it; whole milliseconds. */
  readonly timestamp: Date;
  /** SHA-256 of the previous user message's plaintext, 32 bytes; empty for the first and for others. */
  readonly previousHash: Uint8Array;
};

const newline = 0x0a;

/** The plaintext of a message. */
export function encodeAgentMessage(message: AgentMessage): Uint8Array<ArrayBuffer> {
  if (message.type === "KEY") return joinParts([`KEY ${encodePublicKeyText(message.senderKey)}\n\n\n`]);
  const { id, timestamp, previousHash } = message;
  const head = `\n${id} ${timestamp.toISOString()} ${encodeBase64(previousHash)}\n`;
  return joinParts([head, ...contentParts(message), "\n"]);
}

function contentParts(message: Exclude<AgentMessage, { readonly type: "KEY" }>): Part[] {
  switch (message.type) {
    case "HELLO":
      return [`HELLO ${encodePublicKeyText(message.verificationKey)}${message.noAck ? " NO_ACK" : ""}`];
    case "REPLY":
      return [`REPLY ${formatQueueInfo(message.queueInfo)}`];
    case "MSG":
      return [`MSG ${message.body.length}\n`, message.body, "\n"];
    default:
      return message satisfies never;
  }
}

/** Parses the plaintext of a message; `null` when it is none. The body is a view of `plaintext`. */
export function parseAgentMessage(plaintext: Uint8Array): AgentMessage | null {
  try {
    return plaintext[0] === newline ? parseNumbered(plaintext) : parseConfirmation(plaintext);
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}

function parseConfirmation(plaintext: Uint8Array): AgentMessage | null {
  const match = /^KEY (rsa:[^\n]*)\n\n\n$/.exec(asciiText(plaintext));
  if (match === null) return null;
  const senderKey = parsePublicKeyText(match[1]!);
  // Servers take no other, and would refuse it each time that the message comes again.
  return isKeySize(senderKey.bits) ? { type: "KEY", senderKey } : null;
}

function parseNumbered(plaintext: Uint8Array): AgentMessage | null {
  const headEnd = plaintext.indexOf(newline, 1);
  // The longest head: a number of 16 digits, a timestamp of 24 characters, 44 of a hash; others may write more.
  if (headEnd < 0 || headEnd > 256) return null;
  const match = /^\n(\d{1,16}) (\S{1,40}) (\S*)$/.exec(asciiText(plaintext, 0, headEnd));
  if (match === null) return null;
  const id = Number(match[1]);
  const timestamp = parseTimestamp(match[2]!);
  const previousHash = decodeBase64(match[3]!);
  if (!Number.isSafeInteger(id) || timestamp === null || previousHash === null) return null;
  const content = parseContent(plaintext, headEnd + 1);
  return content && { ...content, id, timestamp, previousHash };
}

type Content<T = AgentMessage> = T extends Numbered<infer _> ? Omit<T, "id" | "timestamp" | "previousHash">
  : never;

function parseContent(plaintext: Uint8Array, start: number): Content | null {
  const lineEnd = plaintext.indexOf(newline, start);
  if (lineEnd < 0) return null;
  const line = asciiText(plaintext, start, lineEnd);
  const size = /^MSG (\d{1,6})$/.exec(line)?.[1];
  if (size !== undefined) {
    const bodyStart = lineEnd + 1, bodyEnd = bodyStart + Number(size);
    const isWhole = plaintext.length === bodyEnd + 2 && plaintext[bodyEnd] === newline &&
      plaintext[bodyEnd + 1] === newline;
    return isWhole ? { type: "MSG", body: plaintext.subarray(bodyStart, bodyEnd) } : null;
  }
  if (lineEnd !== plaintext.length - 1) return null;
  const hello = /^HELLO (rsa:\S*)( NO_ACK)?$/.exec(line);
  if (hello !== null) {
    return {
      type: "HELLO",
      verificationKey: parsePublicKeyText(hello[1]!),
      noAck: hello[2] !== undefined,
    };
  }
  const reply = /^REPLY (\S*)$/.exec(line);
  return reply && { type: "REPLY", queueInfo: parseQueueInfo(reply[1]!) };
}

/** A time in ISO 8601, with or without fractions of a second; `null` when it is none. */
function parseTimestamp(text: string): Date | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?Z$/.test(text)) return null;
  const timestamp = new Date(text);
  return Number.isNaN(timestamp.getTime()) ? null : timestamp;
}
