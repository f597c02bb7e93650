import { decodeBase64, encodeBase64 } from "./base64.ts";
import { asciiText, joinParts, type Part } from "./bytes.ts";
import {
  type ClientCommand,
  type Command,
  commandLength,
  commandParts,
  isClientCommand,
  parseCommand,
  type ServerResponse,
} from "./command.ts";
import { isKeySize } from "./crypto/public_key.ts";
import type { SmpErrorCode } from "./error.ts";
import { type ListedExtension, passwordExtension } from "./extensions.ts";

/** A client's transmission (smp.md Transmission). */
export interface ClientTransmission {
  /** PSS signature, empty where the command has none. */
  readonly signature: Uint8Array<ArrayBuffer>;
  /** What the signature covers: corrId, queue ID and command in canonical form. */
  readonly signed: Uint8Array<ArrayBuffer>;
  /** Any bytes but a space; the answer carries the same. */
  readonly corrId: Uint8Array<ArrayBuffer>;
  /** Base64, empty where the command has none. */
  readonly queueId: string;
  /** What the client asks for. */
  readonly command: ClientCommand;
}

/** A server's transmission (smp.md Transmission). */
export interface ServerTransmission {
  /** The corrId of the command that is answered; empty for a notification. */
  readonly corrId: Uint8Array<ArrayBuffer>;
  /** Base64, empty where the response has none. */
  readonly queueId: string;
  /** What the server says. */
  readonly response: ServerResponse;
}

/** Why a block's content is no valid transmission, with what could be read of it. */
export interface TransmissionError {
  /** As it stood in the block, or empty. */
  readonly corrId: Uint8Array<ArrayBuffer>;
  /** Base64 as it stood in the block, or empty. */
  readonly queueId: string;
  /** What the answer says. */
  readonly error: SmpErrorCode;
  /** The client's command whose credentials are not right. */
  readonly command?: ClientCommand["type"];
}

/** A transmission, or the error that answers it. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | ({ readonly ok: false } & TransmissionError);

const space = 0x20;
const noBytes = new Uint8Array(0);

/** What the signature of a client transmission covers: `corrId SP queueId SP command` (smp.md Transmission). */
export function encodeSigned(
  corrId: Uint8Array,
  queueId: string,
  command: ClientCommand,
): Uint8Array<ArrayBuffer> {
  return joinParts([corrId, ` ${queueId} `, ...commandParts(command)]);
}

/** Encodes a client transmission from its signature (empty for none) and what {@linkcode encodeSigned} gave. */
export function encodeClientTransmission(signature: Uint8Array, signed: Uint8Array): Uint8Array<ArrayBuffer> {
  return joinParts(clientTransmissionParts(signature, signed));
}

/** What {@linkcode encodeClientTransmission} joins. */
export function clientTransmissionParts(signature: Uint8Array, signed: Uint8Array): Part[] {
  return [encodeBase64(signature), " ", signed, " "];
}

/** What {@linkcode encodeClientTransmission} joins without a signature, of which the body of a SEND is not copied. */
export function unsignedTransmissionParts(corrId: string, queueId: string, command: ClientCommand): Part[] {
  return [` ${corrId} ${queueId} `, ...commandParts(command), " "];
}

/** Encodes a server transmission. */
export function encodeServerTransmission(transmission: ServerTransmission): Uint8Array<ArrayBuffer> {
  return joinParts(serverTransmissionParts(transmission));
}

/** What {@linkcode encodeServerTransmission} joins. */
export function serverTransmissionParts({ corrId, queueId, response }: ServerTransmission): Part[] {
  return [" ", corrId, ` ${queueId} `, ...commandParts(response), " "];
}

/** The number of bytes that {@linkcode encodeServerTransmission} gives. */
export function serverTransmissionLength({ corrId, queueId, response }: ServerTransmission): number {
  return 1 + corrId.length + 1 + queueId.length + 1 + commandLength(response) + 1;
}

/** What a server takes beyond 0.3 (extensions.md). */
export interface DecodingOptions {
  /** Whether commands of an extension are known. @default none is */
  readonly has?: (extension: ListedExtension) => boolean;
  /** Whether commands on a queue may come without a signature on this connection. @default on none */
  readonly isOpened?: (queueId: string) => boolean;
  /** Whether the content is overwritten later: then nothing that is given is a part of it. @default false */
  readonly isLent?: boolean;
}

/** Decodes the content of a client's block, in the order that the spec prescribes (smp.md Transmission, 1 to 5). */
export function decodeClientTransmission(
  content: Uint8Array<ArrayBuffer>,
  { has = no, isOpened = no, isLent = false }: DecodingOptions = {},
): Decoded<ClientTransmission> {
  const raw = decodeRaw(content);
  if (!raw.ok) return raw;
  const { signature, corrId, queueId, command, signedStart, end } = raw.value;
  // 4. a server response sent by a client
  if (!isClientCommand(command)) return { ok: false, corrId, queueId, error: "CMD PROHIBITED" };
  const extension = extensionOf(command);
  if (extension !== null && !has(extension)) return { ok: false, corrId, queueId, error: "CMD SYNTAX" };
  const error = clientCredentialsError(command, signature, queueId, isOpened);
  if (error !== null) return { ok: false, corrId, queueId, error, command: command.type };
  const received = content.subarray(signedStart, end - 1);
  const canonical = corrId.length + 1 + queueId.length + 1 + commandLength(command);
  const signed = received.length !== canonical
    ? encodeSigned(corrId, queueId, command)
    : isLent
    ? received.slice()
    : received;
  const isPart = isLent && command.type === "SEND" && command.body.buffer === content.buffer;
  const own = isPart ? { ...command, body: bodyIn(signed, command.body.length) } : command;
  return { ok: true, value: { signature, signed, corrId, queueId, command: own } };
}

/** The body of a SEND in its canonical form, which ends with a space. */
function bodyIn(signed: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const end = signed.length - 1;
  return signed.subarray(end - length, end);
}

/** Decodes the content of a server's block (smp.md Transmission). */
export function decodeServerTransmission(content: Uint8Array<ArrayBuffer>): Decoded<ServerTransmission> {
  const raw = decodeRaw(content);
  if (!raw.ok) return raw;
  const { corrId, queueId, command } = raw.value;
  if (isClientCommand(command) && command.type !== "REKEY") {
    return { ok: false, corrId, queueId, error: "CMD PROHIBITED" };
  }
  const error = serverCredentialsError(command, queueId);
  if (error !== null) return { ok: false, corrId, queueId, error };
  return { ok: true, value: { corrId, queueId, response: command } };
}

interface RawTransmission {
  readonly signature: Uint8Array<ArrayBuffer>;
  readonly corrId: Uint8Array<ArrayBuffer>;
  readonly queueId: string;
  readonly command: Command;
  /** Where corrId begins. */
  readonly signedStart: number;
  /** The index after the space that ends the command. */
  readonly end: number;
}

function decodeRaw(content: Uint8Array<ArrayBuffer>): Decoded<RawTransmission> {
  // 1. three spaces
  const first = content.indexOf(space);
  const second = first < 0 ? -1 : content.indexOf(space, first + 1);
  const third = second < 0 ? -1 : content.indexOf(space, second + 1);
  if (third < 0) return { ok: false, corrId: noBytes, queueId: "", error: "BLOCK" };
  const corrId = content.slice(first + 1, second);
  // 2. signature and queue ID
  const signature = decodeBase64(content.subarray(0, first));
  const queueIdBytes = content.subarray(second + 1, third);
  if (signature === null || !isSignatureLength(signature.length) || decodeBase64(queueIdBytes) === null) {
    return { ok: false, corrId, queueId: "", error: "BLOCK" };
  }
  const queueId = asciiText(queueIdBytes);
  // 3. the command and the space after it
  const parsed = parseCommand(content, third + 1);
  if (parsed === null) return { ok: false, corrId, queueId, error: "CMD SYNTAX" };
  return { ok: true, value: { signature, corrId, queueId, signedStart: first + 1, ...parsed } };
}

function isSignatureLength(length: number): boolean {
  return length === 0 || isKeySize(length * 8);
}

/** The extension that a command is of; `null`: of 0.3. */
function extensionOf({ type }: ClientCommand): ListedExtension | null {
  switch (type) {
    case "OPEN":
      return "open1";
    case "SUBN":
    case "ACKM":
      return "window1";
    case "REKEY":
      return "rekey1";
    case "PASS":
      return passwordExtension;
    default:
      return null;
  }
}

/** smp.md Transmission, 5: which credentials a client's command must and must not have. */
function clientCredentialsError(
  command: ClientCommand,
  signature: Uint8Array,
  queueId: string,
  isOpened: (queueId: string) => boolean,
): SmpErrorCode | null {
  const signed = signature.length > 0;
  const hasQueue = queueId !== "";
  switch (command.type) {
    case "NEW":
      return !signed ? "CMD NO_AUTH" : hasQueue ? "CMD HAS_AUTH" : null;
    case "SEND":
      return hasQueue ? null : "CMD NO_QUEUE";
    case "PING":
    case "PASS":
    case "REKEY":
      return signed || hasQueue ? "CMD HAS_AUTH" : null;
    case "OPEN":
      return signed && hasQueue ? null : "CMD NO_AUTH";
    case "SUB":
    case "KEY":
    case "ACK":
    case "OFF":
    case "DEL":
    case "SUBN":
    case "ACKM":
      return hasQueue && (signed || isOpened(queueId)) ? null : "CMD NO_AUTH";
    default:
      return command satisfies never;
  }
}

/**
 * IDS and ERR may come without queue ID, PONG and REKEY must, everything else must have one (smp.md Transmission). OK has
 * none where it answers PASS, which whoever has sent that can tell.
 */
function serverCredentialsError(response: ServerResponse, queueId: string): SmpErrorCode | null {
  switch (response.type) {
    case "IDS":
    case "ERR":
    case "OK":
      return null;
    case "PONG":
    case "REKEY":
      return queueId === "" ? null : "CMD HAS_AUTH";
    case "MSG":
    case "END":
      return queueId === "" ? "CMD NO_QUEUE" : null;
    default:
      return response satisfies never;
  }
}

function no(): boolean {
  return false;
}
