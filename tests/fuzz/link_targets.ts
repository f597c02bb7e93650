import { assertEquals } from "@std/assert";
import { encodeBase64, encodeSigned, textBytes } from "../../protocol/mod.ts";
import { Broker } from "../../server/broker/broker.ts";
import { Authorizer } from "../../server/guard/authorization.ts";
import type { ByteStream } from "../../server/link/byte_stream.ts";
import { LinkError } from "../../server/link/error.ts";
import {
  type OwnerMessage,
  readOwnerMessage,
  readSessionMessage,
  type SessionMessage,
  writeMessage,
} from "../../server/link/messages.ts";
import { ServedLinks } from "../../server/link/served_links.ts";
import { FrameReader, FrameWriter } from "../../server/link/wire.ts";
import { Metrics } from "../../server/observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/store/memory.ts";
import { fakeVerify } from "../support/broker.ts";
import { expecting, type Target } from "./target.ts";

const id = encodeBase64(new Uint8Array(12).fill(7));
const none = new Uint8Array(0);
const rank = { epoch: 1, number: 2 };
const connection = 1;

function submit(command: number, queueId: string, what: Parameters<typeof encodeSigned>[2]): SessionMessage {
  const corrId = textBytes("1");
  const signed = encodeSigned(corrId, queueId, what);
  const transmission = { signature: none, signed, corrId, queueId, command: what };
  return { type: "SUBMIT", connection, command, messageId: null, isRepeated: false, transmission };
}

const sessionMessages: readonly SessionMessage[] = [
  { type: "HELLO", incarnation: new Uint8Array(10) },
  { type: "CONNECT", connection, blockSize: 4096, binding: new Uint8Array(32), client: "192.0.2.1" },
  { type: "RESTORE", connection, subscription: { recipientId: id, window: 2, rank, delivered: [id] } },
  { type: "REOPEN", connection, queueId: id },
  submit(1, "", { type: "PING" }),
  submit(2, id, { type: "SEND", body: textBytes("hello") }),
  submit(3, id, { type: "ACKM", messageId: id }),
  { type: "TAKEN", connection, pushes: 0 },
  { type: "PING" },
  { type: "DISCONNECT", connection },
];

const ownerMessages: readonly OwnerMessage[] = [
  { type: "WELCOME", restores: true },
  { type: "ANSWER", connection, command: 1, queueId: "", rank: null, response: { type: "PONG" } },
  { type: "ANSWER", connection, command: 2, queueId: null, rank, response: { type: "ERR", error: "AUTH" } },
  {
    type: "ANSWER",
    connection,
    command: 3,
    queueId: "",
    rank,
    response: { type: "IDS", recipientId: id, senderId: id },
  },
  {
    type: "NOTIFY",
    connection,
    queueId: id,
    age: 1.5,
    response: { type: "MSG", messageId: id, timestamp: new Date(0), body: textBytes("hello") },
  },
  { type: "ENDED", connection, queueId: id },
  { type: "CLOSE", connection },
  { type: "CHARGE", connection, budget: "extra", work: 1.5 },
  { type: "PONG" },
];

function framesOf(messages: readonly (SessionMessage | OwnerMessage)[]): Uint8Array<ArrayBuffer> {
  const writer = new FrameWriter();
  for (const message of messages) writeMessage(writer, message);
  return writer.bytes.slice();
}

function readAll<T>(bytes: Uint8Array<ArrayBuffer>, read: (reader: FrameReader) => T | null): T[] {
  const reader = new FrameReader(bytes);
  const messages: T[] = [];
  for (let message = read(reader); message !== null; message = read(reader)) messages.push(message);
  return messages;
}

/** What was read is written and read again as it is. */
function runCodec<T extends SessionMessage | OwnerMessage>(
  input: Uint8Array<ArrayBuffer>,
  read: (reader: FrameReader) => T | null,
): void {
  const messages = expecting(LinkError, () => readAll(input, read));
  if (messages === null) return;
  const written = framesOf(messages);
  assertEquals(framesOf(readAll(written, read)), written);
}

/** Gives the frames in one batch and ends. */
function streamOf(frames: Uint8Array): ByteStream {
  const head = new Uint8Array(16);
  new DataView(head.buffer).setUint32(0, frames.length);
  head[9] = 1;
  let left: Uint8Array | null = new Uint8Array([...head, ...frames]);
  return {
    read(buffer) {
      if (left === null) return Promise.resolve(null);
      const part: Uint8Array = left.subarray(0, buffer.length);
      left = part.length < left.length ? left.subarray(part.length) : null;
      buffer.set(part);
      return Promise.resolve(part.length);
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => {},
  };
}

/** Targets of the links between the processes of a server. */
export const linkTargets: readonly Target[] = [
  {
    name: "messages of a session's process",
    seeds: [framesOf(sessionMessages), ...sessionMessages.map((message) => framesOf([message]))],
    words: ["SEND 5 hello ", id, "PING"],
    run: (input) => runCodec(input, readSessionMessage),
  },
  {
    name: "messages of an owner",
    seeds: [framesOf(ownerMessages), ...ownerMessages.map((message) => framesOf([message]))],
    words: [id],
    run: (input) => runCodec(input, readOwnerMessage),
  },
  {
    name: "a link to an owner",
    seeds: [framesOf(sessionMessages)],
    words: ["SEND 5 hello ", id, "PING"],
    async run(input) {
      const broker = new Broker({
        queues: new MemoryQueueStore(),
        messages: new MemoryMessageStore(),
        metrics: new Metrics(),
        authorizer: new Authorizer(fakeVerify),
      });
      await using links = new ServedLinks(broker);
      await links.serve(streamOf(input));
      await broker.idle();
      assertEquals(broker.counts.subscriptions, 0);
      assertEquals(links.counts.connections, 0);
      assertEquals(links.counts.inWork, 0);
    },
  },
];
