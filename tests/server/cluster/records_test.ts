import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeBase64, joinParts } from "../../../protocol/mod.ts";
import { decodeBatch, encodeBatch } from "../../../server/cluster/batch.ts";
import { RecordError } from "../../../server/cluster/bytes.ts";
import { encodeRecord, type LogRecord } from "../../../server/cluster/records.ts";
import { logRecord } from "../../support/log_records.ts";

const permissions = "none";
const header = { epoch: 7, number: 3, at: 1620553068123 };
const batchOf = (records: readonly LogRecord[]) => encodeBatch(header, records.map(encodeRecord));

Deno.test("any records are the same when they have been a batch", { permissions }, () => {
  fc.assert(fc.property(fc.array(logRecord, { maxLength: 8 }), (records) => {
    assertEquals(decodeBatch(batchOf(records)), { ...header, records });
  }));
});

Deno.test(
  "a batch that is cut off anywhere but between records, or longer, is refused",
  { permissions },
  () => {
    fc.assert(fc.property(logRecord, (record) => {
      const whole = batchOf([record]), empty = batchOf([]).length;
      for (let length = 0; length < whole.length; length++) {
        if (length !== empty) assertThrows(() => decodeBatch(whole.subarray(0, length)), RecordError);
      }
      assertThrows(() => decodeBatch(joinParts([whole, Uint8Array.of(1)])), RecordError);
    }));
  },
);

Deno.test(
  "a batch with any byte changed is refused by a RecordError, or is another one",
  { permissions },
  () => {
    fc.assert(
      fc.property(logRecord, fc.nat(), fc.integer({ min: 1, max: 255 }), (record, place, change) => {
        const bytes = batchOf([record]);
        bytes[place % bytes.length]! ^= change;
        try {
          const { epoch, number, at, records } = decodeBatch(bytes);
          assertEquals(encodeBatch({ epoch, number, at }, records.map(encodeRecord)), bytes);
        } catch (error) {
          if (!(error instanceof RecordError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  },
);

Deno.test("a batch of another version, and a record of an unknown type, are refused", { permissions }, () => {
  const bytes = batchOf([{ type: "HANDSHAKE", digest: 1 }]);
  bytes[0] = 2;
  assertThrows(() => decodeBatch(bytes), RecordError, "a batch is of version 2, which is unknown");
  bytes[0] = 1;
  bytes[25] = 99;
  assertThrows(() => decodeBatch(bytes), RecordError, "there is no record of type 99");
});

Deno.test("what no record can have is not encoded", { permissions }, () => {
  const wrong: LogRecord[] = [
    { type: "CLEAR", recipientId: "é" },
    { type: "CLEAR", recipientId: "A".repeat(65_536) },
    { type: "SUSPEND", recipientId: "A", at: NaN },
    { type: "SUSPEND", recipientId: "A", at: 1e16 },
    { type: "HANDSHAKE", digest: 0.5 },
    { type: "CLAIM", node: "a", nonce: "AAAA" },
    { type: "TOUCH", recipientId: "A", origin: { commandId: "no base64" } },
    { type: "TOUCH", recipientId: "A", origin: { blockSize: -1 } },
  ];
  for (const record of wrong) assertThrows(() => encodeRecord(record), RangeError, "Cannot encode");
});

Deno.test("a decoded body does not keep its batch in memory", { permissions }, () => {
  const bytes = batchOf([{ type: "MESSAGE", recipientId: "A", id: "B", at: 1, body: new Uint8Array(10) }]);
  const [message] = decodeBatch(bytes).records;
  assert(message?.type === "MESSAGE" && message.body.buffer.byteLength === 10);
  assertEquals(encodeBase64(message.body), encodeBase64(new Uint8Array(10)));
});
