import type { Mutation } from "./mutation.ts";

const test = (name: string) => [`tests/agent/stream/${name}_test.ts`];
const protocol = (name: string) => [`tests/protocol/stream/${name}_test.ts`];

/** Defects of streams. */
export const streamMutations: readonly Mutation[] = [
  {
    name: "stream-nonce",
    what: "a chunk and the last one with its number are encrypted with the same nonce",
    file: "protocol/stream/chunk.ts",
    from: "content.subarray(streamIdLength, headLength - 1), 12 - numberLength - 1",
    to: "content.subarray(streamIdLength, headLength - 2), 12 - numberLength - 1",
    tests: protocol("vectors"),
  },
  {
    name: "stream-padding",
    what: "what is behind a chunk is not looked at",
    file: "protocol/stream/chunk.ts",
    from: "if (end > content.length || !isZero(content, end)) return null;",
    to: "if (end > content.length) return null;",
    tests: protocol("chunk"),
  },
  {
    name: "stream-window",
    what: "a sender may send as much as it likes",
    file: "agent/stream/chunks.ts",
    from: "if (number > this.#taken + window)",
    to: "if (number > this.#taken + 1000 * window)",
    tests: test("chunks"),
  },
  {
    name: "stream-size",
    what: "a stream may be shorter than was said",
    file: "agent/stream/chunks.ts",
    from: " || chunk.isLast && this.#received < size",
    to: "",
    tests: test("chunks"),
  },
  {
    name: "stream-backpressure",
    what: "the sender does not wait for credit",
    file: "agent/stream/run.ts",
    from: "this.#sent - this.#taken >= window",
    to: "this.#sent - this.#taken >= 1000 * window",
    tests: test("hostile"),
  },
  {
    name: "stream-credit",
    what: "credit for what was not sent is believed",
    file: "agent/stream/run.ts",
    from: "if (number > this.#sent) return false;",
    to: "if (number > this.#sent) return true;",
    tests: test("hostile"),
  },
  {
    name: "stream-offers",
    what: "any number of offers wait",
    file: "agent/stream/step.ts",
    from: "export const mostOffered = 16;",
    to: "export const mostOffered = 17;",
    tests: test("hostile"),
  },
  {
    name: "stream-changed",
    what: "a file that has changed is sent all the same",
    file: "agent/stream/file_source.ts",
    from: " || mtimeMs !== this.#file.modifiedAt) throw changed();",
    to: ") throw changed();",
    tests: test("file"),
  },
  {
    name: "stream-hash",
    what: "a file with another SHA-256 is taken",
    file: "agent/stream/receive_file.ts",
    from: "!equalBytes(sha256, offer.sha256)",
    to: "sha256.length !== offer.sha256.length",
    tests: test("file"),
  },
  {
    name: "stream-replace",
    what: "a file takes the place of one that has appeared meanwhile",
    file: "agent/stream/receive_file.ts",
    from: "await files.link(part, target);",
    to: "return await files.rename(part, target);",
    tests: test("file"),
  },
  {
    name: "stream-discarded",
    what: "a queue of a stream is left when the agent ends",
    file: "agent/stream/way.ts",
    from: 'await context.store.commit([{ type: "put discarded", queue }]);',
    to: "await Promise.resolve(queue);",
    tests: test("faults"),
  },
  {
    name: "stream-again",
    what: "what failed on its way is not sent again",
    file: "agent/stream/lane.ts",
    from: "this.#waiting.push(sent);",
    to: "void sent;",
    tests: test("faults"),
  },
];
