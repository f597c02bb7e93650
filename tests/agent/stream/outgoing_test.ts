import { assertEquals } from "@std/assert";
import type { StreamRecord } from "../../../agent/store/store.ts";
import { StreamError } from "../../../agent/mod.ts";
import { Outgoing } from "../../../agent/stream/outgoing.ts";
import type { StreamPorts } from "../../../agent/stream/ports.ts";
import { BlobSource } from "../../../agent/stream/source.ts";
import type { StreamContent } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

/** A stream that was accepted before a restart; `tell` is what it tells the other side with. */
function outgoing(tell: (content: StreamContent) => Promise<void>): Outgoing {
  const record: StreamRecord = {
    id: "0".repeat(32),
    direction: "sending",
    status: "accepted",
    key: new Uint8Array(32),
    name: "",
    mediaType: "",
    size: 1,
    sha256: null,
    at: 0,
    file: null,
  };
  const context = { retry: { first: 1, most: 1 } };
  const ports = { context, record: () => record, tell } as unknown as StreamPorts;
  return new Outgoing("b", record, ports, new BlobSource(new Blob(["x"])));
}

Deno.test("what asks where to go on and cannot be stored is asked again, until it ends", async () => {
  let tries = 0;
  const asked: string[] = [];
  const stream = outgoing(({ kind }) => {
    if (++tries < 4) return Promise.reject(new Error("no room"));
    asked.push(kind);
    return Promise.resolve();
  });
  stream.ask();
  await until(() => asked.length > 0);
  assertEquals([tries, asked], [4, ["stream resume"]]);
  tries = -1e9;
  stream.ask();
  await stream.settle(new StreamError("CLOSED", ""));
  const before = tries;
  stream.ask();
  assertEquals(tries, before);
});
