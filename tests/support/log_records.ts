import fc from "fast-check";
import { encodeBase64 } from "../../protocol/mod.ts";
import type { LogRecord, QueueChange, SnapshotPlace } from "../../server/cluster/records.ts";
import type { Origin } from "../../server/store/store.ts";
import { bytes, id, publicKey } from "./arbitraries.ts";

const time = fc.integer({ min: -8.64e15, max: 8.64e15 });
const command = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encodeBase64);
const recipientId = id;
const queue = fc.record({
  recipientId,
  senderId: id,
  recipientKey: publicKey,
  senderKey: fc.option(publicKey),
  suspended: fc.boolean(),
  changedAt: time,
});
const messageIds = fc.array(id, { maxLength: 4 });

const change: Record<QueueChange["type"], fc.Arbitrary<QueueChange>> = {
  CREATE: queue.map((queue) => ({ type: "CREATE", queue })),
  SECURE: fc.record({ type: fc.constant("SECURE"), recipientId, senderKey: publicKey }),
  SUSPEND: fc.record({ type: fc.constant("SUSPEND"), recipientId, at: time }),
  DELETE: fc.record({ type: fc.constant("DELETE"), recipientId }),
  MESSAGE: fc.record({ type: fc.constant("MESSAGE"), recipientId, id, at: time, body: bytes }),
  ACKNOWLEDGE: fc.record({ type: fc.constant("ACKNOWLEDGE"), recipientId, messageIds }),
  EXPIRE: fc.record({ type: fc.constant("EXPIRE"), recipientId, messageIds }),
  CLEAR: fc.record({ type: fc.constant("CLEAR"), recipientId }),
  TOUCH: fc.record({ type: fc.constant("TOUCH"), recipientId }),
};

const origin: fc.Arbitrary<Origin> = fc.oneof(
  command.map((commandId) => ({ commandId })),
  fc.nat(65_536).map((blockSize) => ({ blockSize })),
  fc.record({ commandId: command, blockSize: fc.nat(65_536) }),
);

const place: fc.Arbitrary<SnapshotPlace> = fc.record({
  sequence: fc.maxSafeNat(),
  name: id,
  bytes: fc.maxSafeNat(),
  chunks: fc.nat(),
  sha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

/** Any record of a log. */
export const logRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.oneof(...Object.values(change)),
  fc.tuple(fc.oneof(...Object.values(change)), origin).map(([change, origin]) => ({ ...change, origin })),
  fc.record({ type: fc.constant("CLAIM" as const), node: fc.string({ unit: "grapheme" }), nonce: command }),
  fc.record({ type: fc.constant("SNAPSHOT" as const), last: place, previous: fc.option(place) }),
  fc.record({ type: fc.constant("HANDSHAKE" as const), digest: fc.maxSafeNat() }),
  fc.record({
    type: fc.constant("COMMAND" as const),
    commandId: command,
    at: time,
    done: fc.oneof(
      fc.record({ type: fc.constant("CREATE" as const), recipientId, senderId: id }),
      fc.record({ type: fc.constantFrom("DELETE" as const, "MESSAGE" as const) }),
    ),
  }),
);
