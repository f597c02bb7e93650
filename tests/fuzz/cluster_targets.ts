import { assertEquals } from "@std/assert";
import { encodeBase64, parsePublicKeyText, textBytes } from "../../protocol/mod.ts";
import { decodeBatch, encodeBatch } from "../../server/cluster/batch.ts";
import { RecordError } from "../../server/cluster/bytes.ts";
import { encodeRecord, type LogRecord } from "../../server/cluster/records.ts";
import { rsaVector } from "../support/vectors.ts";
import { expecting, type Target } from "./target.ts";

const recipientId = "AAAA";
const commandId = encodeBase64(new Uint8Array(16));
const recipientKey = parsePublicKeyText(rsaVector("rsa1024").text);
const queue = {
  recipientId,
  senderId: "AAAB",
  recipientKey,
  senderKey: null,
  suspended: false,
  changedAt: 0,
};
const place = { sequence: 1, name: "1", bytes: 1, chunks: 1, sha256: new Uint8Array(32) };
const batches: readonly (readonly LogRecord[])[] = [
  [{ type: "CLAIM", node: "a", nonce: commandId }],
  [{ type: "CREATE", queue, origin: { commandId, blockSize: 4096 } }],
  [
    { type: "SECURE", recipientId, senderKey: recipientKey },
    { type: "SUSPEND", recipientId, at: 1 },
    { type: "DELETE", recipientId },
  ],
  [
    { type: "MESSAGE", recipientId, id: "BBBB", at: 1, body: textBytes("hello") },
    { type: "ACKNOWLEDGE", recipientId, messageIds: ["BBBB"] },
    { type: "EXPIRE", recipientId, messageIds: ["BBBB", "BBBC"] },
    { type: "CLEAR", recipientId },
    { type: "TOUCH", recipientId, origin: { blockSize: 16_384 } },
  ],
  [
    { type: "SNAPSHOT", last: place, previous: place },
    { type: "HANDSHAKE", digest: 1 },
    { type: "COMMAND", commandId, at: 1, done: { type: "CREATE", recipientId, senderId: "AAAB" } },
  ],
];

/** What a node reads that another one wrote. */
export const clusterTargets: readonly Target[] = [
  {
    name: "log of a partition",
    seeds: batches.map((records) =>
      encodeBatch({ epoch: 1, number: 1, at: 1 }, records.map((record) => encodeRecord(record)))
    ),
    words: ["\0", "\0\0\0\x04", "\0\x04AAAA", "\x03", "\x0d"],
    run(input) {
      const batch = expecting(RecordError, () => decodeBatch(input));
      if (batch === null) return;
      assertEquals(encodeBatch(batch, batch.records.map((record) => encodeRecord(record))), input);
    },
  },
];
