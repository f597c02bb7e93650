import fc from "fast-check";
import { blockSizes, encodeSigned, largestWindow } from "../../protocol/mod.ts";
import type { OwnerMessage, SessionMessage } from "../../server/link/messages.ts";
import { extendedTransmission, id, serverTransmission } from "./arbitraries.ts";

const number = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const connection = number;
const command = number;
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const rank = fc.record({ epoch: number, number });
const type = <T extends string>(type: T) => fc.constant(type);

const subscription = fc.constantFrom<(number | null)[]>(null, 1, 3, largestWindow).chain((window) =>
  fc.record({
    recipientId: id,
    window: fc.constant(window),
    rank,
    delivered: fc.array(id, { maxLength: window ?? 1 }),
  })
);

const transmission = extendedTransmission.filter(({ command: { type } }) =>
  type !== "REKEY" && type !== "PASS"
).map((parts) => ({
  ...parts,
  signed: encodeSigned(parts.corrId, parts.queueId, parts.command),
}));

const answered = serverTransmission.filter(({ response }) => response.type !== "REKEY");

/** Any message of a session's process. */
export const sessionMessage: fc.Arbitrary<SessionMessage> = fc.oneof(
  fc.record({ type: type("HELLO"), incarnation: bytes(10) }),
  fc.record({
    type: type("CONNECT"),
    connection,
    blockSize: fc.constantFrom(...blockSizes),
    binding: bytes(32),
    client: fc.option(fc.oneof(fc.ipV4(), fc.ipV6())),
  }),
  fc.record({
    type: type("SUBMIT"),
    connection,
    command,
    messageId: fc.option(id),
    isRepeated: fc.boolean(),
    transmission,
  }),
  fc.record({ type: type("TAKEN"), connection, pushes: fc.nat({ max: 2 ** 32 - 1 }) }),
  fc.record({ type: type("DISCONNECT"), connection }),
  fc.record({ type: type("RESTORE"), connection, subscription }),
  fc.record({ type: type("REOPEN"), connection, queueId: id }),
  fc.record({ type: type("PING") }),
);

/** Any message of an owner. */
export const ownerMessage: fc.Arbitrary<OwnerMessage> = fc.oneof(
  fc.record({ type: type("WELCOME"), restores: fc.boolean() }),
  fc.record({
    type: type("ANSWER"),
    connection,
    command,
    queueId: fc.option(fc.oneof(id, fc.constant(""))),
    rank: fc.option(rank),
    response: answered.map(({ response }) => response),
  }),
  fc.record({
    type: type("NOTIFY"),
    connection,
    queueId: id,
    age: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
    response: answered.map(({ response }) => response),
  }),
  fc.record({ type: type("ENDED"), connection, queueId: id }),
  fc.record({ type: type("CLOSE"), connection }),
  fc.record({
    type: type("CHARGE"),
    connection,
    budget: fc.constantFrom<("refused" | "extra")[]>("refused", "extra"),
    work: fc.double({ min: 0, max: 1e9, noNaN: true }),
  }),
  fc.record({ type: type("PONG") }),
);
