import { assertEquals, assertThrows } from "@std/assert";
import type { Connection } from "../../../agent/mod.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { AgentError } from "../../../agent/protocol/error.ts";
import type { ReceivedFrame } from "../../../agent/session/arrival.ts";
import { changeStreams, mostOffered, receiveStreamFrame } from "../../../agent/stream/step.ts";
import { randomBytes, type StreamContent } from "../../../protocol/mod.ts";
import { startServer } from "../../support/server.ts";
import { streamPair } from "../../support/streams.ts";

/** A connection with a session, after as many frames that the other side has not receipted. */
async function connectionWith(unreceipted: number): Promise<Connection> {
  await using server = await startServer();
  const store = new MemoryStore();
  await using _pair = await streamPair(server, { a: { store } });
  const [connection] = await store.connections() as [Connection];
  const session = connection.session!;
  const lastNumber = session.receipted.upTo + unreceipted;
  return { ...connection, session: { ...session, lastNumber } };
}

const context = { now: 1000 } as Parameters<typeof changeStreams>[2];

/** Offers as many streams as the other side likes; gives how many answers that makes. */
function answersTo(connection: Connection, count: number): number {
  let answers = 0;
  for (let at = 0; at < count; at++) {
    const none = { size: null, sha256: null, mediaType: "", name: "" };
    const frame = { kind: "stream offer", streamId: randomBytes(16), key: randomBytes(32), ...none } as const;
    const arrived = { frame } as unknown as ReceivedFrame<ReceivedFrame["frame"] & StreamContent>;
    const made = receiveStreamFrame(connection, arrived, context);
    answers += made?.frames?.length ?? 0;
    connection = made?.connection ?? connection;
  }
  return answers;
}

Deno.test("who offers more than may wait and receipts no refusal is not told of more", async () => {
  assertEquals(answersTo(await connectionWith(9_999), mostOffered + 3), 3);
  assertEquals(answersTo(await connectionWith(10_000), mostOffered + 3), 0);
});

Deno.test("who asks for streams again and receipts nothing is told nothing more but their ends", async () => {
  const streamId = randomBytes(16), run = randomBytes(16);
  const tell = (connection: Connection, content: StreamContent) =>
    changeStreams(connection, { type: "streams", streams: [], contents: [content] }, context).frames.length;
  const again = { kind: "stream run", streamId, run, offset: 0, chunkSize: 10 } as const;
  const end = { kind: "stream close", streamId, from: "sender", reason: 4, total: 0, text: "" } as const;
  assertEquals(tell(await connectionWith(9_999), again), 1);
  const full = await connectionWith(10_000);
  assertEquals(assertThrows(() => tell(full, again), AgentError).code, "CONN FULL");
  assertEquals(tell(full, end), 1);
});
