import {
  blockSizes,
  type ClientTransmission,
  decodeClientTransmission,
  encodeBase64,
  largestWindow,
  type ServerResponse,
} from "../../protocol/mod.ts";
import type { KnownSubscription, Rank } from "../broker/subscriptions.ts";
import type { BudgetName } from "../guard/client_network.ts";
import { frameError } from "./error.ts";
import { readResponse, writeResponse } from "./response.ts";
import type { FrameReader, FrameWriter } from "./wire.ts";

/** Version of the messages: processes of another one are not talked to. */
export const linkVersion = 1;
/** Bytes that name a session's process for as long as it keeps commands. */
export const incarnationLength = 10;

const budgets: readonly BudgetName[] = ["refused", "extra"];
const bindingLength = 32;
/** Characters of the longest address, with a zone. */
const longestClient = 64;

/** From a session's process to an owner. `connection` and `command` are numbers that are never used again. */
export type SessionMessage =
  | { readonly type: "HELLO"; readonly incarnation: Uint8Array<ArrayBuffer> }
  | {
    readonly type: "CONNECT";
    readonly connection: number;
    readonly blockSize: number;
    readonly binding: Uint8Array;
    readonly client: string | null;
  }
  | {
    readonly type: "SUBMIT";
    readonly connection: number;
    /** Greater than that of every command that was submitted before. */
    readonly command: number;
    /** With ACK: the ID of the message that the client has, if it has one; with SEND: the ID that the message gets. */
    readonly messageId: string | null;
    /** It may have been executed before its link was lost. */
    readonly isRepeated: boolean;
    readonly transmission: ClientTransmission;
  }
  | { readonly type: "TAKEN"; readonly connection: number; readonly pushes: number }
  | { readonly type: "DISCONNECT"; readonly connection: number }
  | {
    readonly type: "RESTORE";
    readonly connection: number;
    readonly subscription: KnownSubscription;
  }
  | { readonly type: "REOPEN"; readonly connection: number; readonly queueId: string }
  | { readonly type: "PING" };

/** From an owner to a session's process. */
export type OwnerMessage =
  | { readonly type: "WELCOME"; readonly restores: boolean }
  | {
    readonly type: "ANSWER";
    readonly connection: number;
    readonly command: number;
    /** `null`: that of the command. */
    readonly queueId: string | null;
    /** Of the subscription that the command has made. */
    readonly rank: Rank | null;
    readonly response: ServerResponse;
  }
  | {
    readonly type: "NOTIFY";
    readonly connection: number;
    readonly queueId: string;
    /** Milliseconds since the message came, where that is of interest. */
    readonly age: number | null;
    readonly response: ServerResponse;
  }
  /** A queue that the connection has opened or subscribes to is gone. */
  | { readonly type: "ENDED"; readonly connection: number; readonly queueId: string }
  /** Nobody can tell what has become of the connection's commands: it is closed. */
  | { readonly type: "CLOSE"; readonly connection: number }
  /** What work a command of the connection has been. Milliseconds. */
  | {
    readonly type: "CHARGE";
    readonly connection: number;
    readonly budget: BudgetName;
    readonly work: number;
  }
  | { readonly type: "PONG" };

const types = {
  HELLO: 1,
  CONNECT: 2,
  SUBMIT: 3,
  TAKEN: 4,
  DISCONNECT: 5,
  RESTORE: 6,
  REOPEN: 7,
  PING: 8,
  WELCOME: 129,
  ANSWER: 130,
  NOTIFY: 131,
  ENDED: 132,
  PONG: 133,
  CLOSE: 134,
  CHARGE: 135,
} as const satisfies Record<(SessionMessage | OwnerMessage)["type"], number>;

/** Writes a message as one frame. */
export function writeMessage(writer: FrameWriter, message: SessionMessage | OwnerMessage): void {
  writer.begin(types[message.type]);
  if ("connection" in message) writer.uint48(message.connection);
  switch (message.type) {
    case "HELLO":
      writer.uint8(linkVersion);
      writer.rest(message.incarnation);
      break;
    case "CONNECT":
      writer.uint32(message.blockSize);
      writer.rest(message.binding);
      if (message.client !== null) writer.text(message.client);
      break;
    case "SUBMIT":
      writer.uint48(message.command);
      writer.uint8(message.isRepeated ? 1 : 0);
      writer.text(message.messageId ?? "");
      writeTransmission(writer, message.transmission);
      break;
    case "TAKEN":
      writer.uint32(message.pushes);
      break;
    case "RESTORE":
      writeSubscription(writer, message.subscription);
      break;
    case "REOPEN":
    case "ENDED":
      writer.text(message.queueId);
      break;
    case "WELCOME":
      writer.uint8(linkVersion);
      writer.uint8(message.restores ? 1 : 0);
      break;
    case "ANSWER":
      writer.uint48(message.command);
      writeAnswerHead(writer, message);
      writeResponse(writer, message.response);
      break;
    case "NOTIFY":
      writer.float64(message.age ?? NaN);
      writer.text(message.queueId);
      writeResponse(writer, message.response);
      break;
    case "CHARGE":
      writer.uint8(budgets.indexOf(message.budget));
      writer.float64(message.work);
      break;
    case "DISCONNECT":
    case "CLOSE":
    case "PING":
    case "PONG":
      break;
    default:
      message satisfies never;
  }
  writer.end();
}

/** Reads the next message of a session's process; `null` behind the last one. Throws `LinkError` (`FRAME`). */
export function readSessionMessage(reader: FrameReader): SessionMessage | null {
  const type = reader.begin();
  switch (type) {
    case null:
      return null;
    case types.HELLO:
      checkVersion(reader.uint8());
      return { type: "HELLO", incarnation: reader.bytes(incarnationLength) };
    case types.CONNECT:
      return { type: "CONNECT", connection: reader.uint48(), ...readConnection(reader) };
    case types.SUBMIT:
      return {
        type: "SUBMIT",
        connection: reader.uint48(),
        command: reader.uint48(),
        isRepeated: readFlag(reader),
        messageId: reader.text() || null,
        transmission: readTransmission(reader),
      };
    case types.TAKEN:
      return { type: "TAKEN", connection: reader.uint48(), pushes: reader.uint32() };
    case types.DISCONNECT:
      return { type: "DISCONNECT", connection: reader.uint48() };
    case types.RESTORE:
      return { type: "RESTORE", connection: reader.uint48(), subscription: readSubscription(reader) };
    case types.REOPEN:
      return { type: "REOPEN", connection: reader.uint48(), queueId: readId(reader) };
    case types.PING:
      return { type: "PING" };
    default:
      throw frameError(`a session's process does not send type ${type}`);
  }
}

/** Reads the next message of an owner; `null` behind the last one. Throws `LinkError` (`FRAME`). */
export function readOwnerMessage(reader: FrameReader): OwnerMessage | null {
  const type = reader.begin();
  switch (type) {
    case null:
      return null;
    case types.WELCOME:
      checkVersion(reader.uint8());
      return { type: "WELCOME", restores: readFlag(reader) };
    case types.ANSWER:
      return {
        type: "ANSWER",
        connection: reader.uint48(),
        command: reader.uint48(),
        ...readAnswerHead(reader),
        response: readResponse(reader),
      };
    case types.NOTIFY:
      return {
        type: "NOTIFY",
        connection: reader.uint48(),
        age: readAge(reader),
        queueId: readId(reader),
        response: readResponse(reader),
      };
    case types.ENDED:
      return { type: "ENDED", connection: reader.uint48(), queueId: readId(reader) };
    case types.CLOSE:
      return { type: "CLOSE", connection: reader.uint48() };
    case types.CHARGE:
      return { type: "CHARGE", connection: reader.uint48(), ...readCharge(reader) };
    case types.PONG:
      return { type: "PONG" };
    default:
      throw frameError(`an owner does not send type ${type}`);
  }
}

/** As in a block: what is signed must come out byte for byte, and decoding that is tested anyhow. */
function writeTransmission(writer: FrameWriter, { signature, signed }: ClientTransmission): void {
  if (signature.length > 0) writer.rest(encodeBase64(signature));
  writer.rest(" ");
  writer.rest(signed);
  writer.rest(" ");
}

/** Whether extensions are on and queues are opened was decided where the session is; the owner looks again. */
const decided = { has: () => true, isOpened: () => true };

function readTransmission(reader: FrameReader): ClientTransmission {
  // A copy: the body of a message may stay part of it.
  const content = reader.rest();
  const decoded = decodeClientTransmission(content, decided);
  if (!decoded.ok) throw frameError(`the transmission is ERR ${decoded.error}`);
  const { signature, signed, command } = decoded.value;
  if (Math.ceil(signature.length / 3) * 4 + signed.length + 2 !== content.length) {
    throw frameError("the transmission is not in its canonical form");
  }
  if (command.type === "REKEY" || command.type === "PASS") {
    throw frameError(`${command.type} is of the session`);
  }
  return decoded.value;
}

function readConnection(reader: FrameReader) {
  const blockSize = reader.uint32();
  if (!blockSizes.includes(blockSize)) throw frameError(`there are no blocks of ${blockSize} bytes`);
  const binding = reader.bytes(bindingLength);
  const client = reader.isAtEnd ? null : reader.text();
  if (client !== null && client.length > longestClient) throw frameError("the client's address is too long");
  return { blockSize, binding, client };
}

function writeSubscription(writer: FrameWriter, subscription: KnownSubscription): void {
  writer.text(subscription.recipientId);
  writer.uint8(subscription.window ?? 0);
  writeRank(writer, subscription.rank);
  for (const id of subscription.delivered) writer.text(id);
}

function readSubscription(reader: FrameReader): KnownSubscription {
  const recipientId = readId(reader);
  const window = reader.uint8() || null;
  if (window !== null && window > largestWindow) throw frameError(`there is no window of ${window} messages`);
  const rank = readRank(reader);
  const delivered: string[] = [];
  while (!reader.isAtEnd) delivered.push(readId(reader));
  if (delivered.length > (window ?? 1)) throw frameError("more messages are delivered than the window takes");
  return { recipientId, window, rank, delivered };
}

const head = { sameQueue: 0, noQueue: 1, otherQueue: 2, ranked: 4 } as const;

function writeAnswerHead(writer: FrameWriter, { queueId, rank }: OwnerMessage & { type: "ANSWER" }): void {
  const queue = queueId === null ? head.sameQueue : queueId === "" ? head.noQueue : head.otherQueue;
  writer.uint8(queue | (rank === null ? 0 : head.ranked));
  if (queue === head.otherQueue) writer.text(queueId!);
  if (rank !== null) writeRank(writer, rank);
}

function readAnswerHead(reader: FrameReader): { queueId: string | null; rank: Rank | null } {
  const flags = reader.uint8();
  const queue = flags & ~head.ranked;
  if (queue > head.otherQueue) throw frameError(`there are no flags ${flags}`);
  const queueId = queue === head.sameQueue ? null : queue === head.noQueue ? "" : readId(reader);
  return { queueId, rank: flags & head.ranked ? readRank(reader) : null };
}

function writeRank(writer: FrameWriter, { epoch, number }: Rank): void {
  writer.uint48(epoch);
  writer.uint48(number);
}

function readRank(reader: FrameReader): Rank {
  return { epoch: reader.uint48(), number: reader.uint48() };
}

function readId(reader: FrameReader): string {
  const id = reader.text();
  if (id === "") throw frameError("an ID is empty");
  return id;
}

function readAge(reader: FrameReader): number | null {
  const age = reader.float64();
  if (Number.isNaN(age)) return null;
  if (age >= 0 && age < Infinity) return age;
  throw frameError(`a message cannot be ${age} ms old`);
}

function readCharge(reader: FrameReader): { readonly budget: BudgetName; readonly work: number } {
  const budget = budgets[reader.uint8()];
  if (budget === undefined) throw frameError("there is no such budget");
  const work = reader.float64();
  if (!(work >= 0 && work < Infinity)) throw frameError(`a command cannot be ${work} ms of work`);
  return { budget, work };
}

function readFlag(reader: FrameReader): boolean {
  const flag = reader.uint8();
  if (flag > 1) throw frameError(`${flag} is neither yes nor no`);
  return flag === 1;
}

function checkVersion(version: number): void {
  if (version !== linkVersion) throw frameError(`version ${version} is not ${linkVersion}`);
}
