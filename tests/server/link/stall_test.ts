import { assertEquals } from "@std/assert";
import { checkLimits } from "../../../server/config/limits.ts";
import { StallWatch } from "../../../server/guard/stall_watch.ts";
import { type ByteStream, writeAll } from "../../../server/link/byte_stream.ts";
import { linkedBroker, SessionSide } from "../../support/link.ts";
import { soon, until } from "../../support/wait.ts";

/** What is written waits where its reader stands still, and the end behind it. */
class WaitingStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #closed = Promise.withResolvers<never>();
  #isClosed = false;
  waiting: Uint8Array<ArrayBuffer>[] | null;

  constructor(stream: ByteStream, isStill: boolean) {
    this.#stream = stream;
    this.waiting = isStill ? [] : null;
    this.#closed.promise.catch(() => {});
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return Promise.race([this.#stream.read(buffer), this.#closed.promise]);
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    if (this.waiting === null) return await this.#stream.write(bytes);
    this.waiting.push(bytes.slice());
    return bytes.length;
  }

  close(): void {
    this.#isClosed = true;
    this.#closed.reject(new Error("the stream was closed"));
    if (this.waiting === null) this.#stream.close();
  }

  /** Its reader goes on, and comes to the end when `read` resolves. */
  async arrive(read: Promise<void>): Promise<void> {
    const waiting = this.waiting ?? [];
    this.waiting = null;
    // Who goes on may end the link at once.
    for (const bytes of waiting) await writeAll(this.#stream, bytes).catch(() => {});
    await read;
    if (this.#isClosed) this.#stream.close();
  }
}

function watch(stallTimeout: number) {
  const watch = { now: 0, lines: [] as string[], stalls: 0 };
  const stall = new StallWatch({
    limits: () => checkLimits({ stallTimeout }),
    log: (line) => void watch.lines.push(line),
    now: () => watch.now,
  });
  stall.listen(() => watch.stalls++);
  return Object.assign(watch, { stall });
}

Deno.test("a SUB of a connection that is gone, which waited at a worker that stood still, takes the queue from nobody", async () => {
  const watched = watch(10_000);
  await using linked = await linkedBroker({ served: { stall: watched.stall } });
  const { test, port } = linked;
  const streams: WaitingStream[] = [];
  let isStill = false;
  const wrap = (stream: ByteStream) => {
    streams.push(new WaitingStream(stream, isStill));
    return streams.at(-1)!;
  };
  await using former = new SessionSide(test, port, { wrap });
  await until(() => former.remote.isLinked);
  await using later = new SessionSide(test, port, { wrap });
  await until(() => later.remote.isLinked);
  const [ofFormer, ofLater] = streams as [WaitingStream, WaitingStream];
  const alice = test.connect();
  const queue = await alice.create();
  alice.disconnect();

  isStill = true;
  ofFormer.waiting = [];
  ofLater.waiting = [];
  const gone = former.connect();
  await gone.submit(queue, "SUB");
  await until(() => ofFormer.waiting!.length === 1);
  // As nothing is heard of it.
  former.cut();
  await until(() => !former.remote.isLinked);
  gone.disconnect();
  const carol = later.connect();
  await carol.submit(queue, "SUB");
  await until(() => ofLater.waiting!.length === 1);
  isStill = false;
  watched.now += 11_000;
  await ofLater.arrive(Promise.resolve());
  await until(() => carol.waiting === 0);
  // There may be so much behind the SUB that it is executed before the end is read.
  const executed = until(() => watched.stalls > 0 || test.metrics.commands.get("SUB OK") === 2);
  await ofFormer.arrive(executed);
  for (const stream of streams.slice(2)) await stream.arrive(executed);
  await soon(former.idle());

  await test.connect().ask(queue, "SEND one");
  await later.idle();
  assertEquals(carol.take(), ["sub q OK", "- q MSG one"]);
  assertEquals(watched.stalls, 1);
});

Deno.test("a time in which nothing looked is noticed once, where that is not switched off or over", () => {
  const watched = watch(10_000);
  const look = (after: number) => {
    watched.now += after;
    watched.stall.look();
    return watched.stalls;
  };
  assertEquals([look(10_000), look(10_000), look(10_001), look(1)], [0, 0, 1, 1]);
  assertEquals(watched.lines, ["The server did not run for 10 s: its connections are closed"]);
  watched.stall.end();
  assertEquals(look(60_000), 1);
  const off = watch(0);
  off.now = 1e9;
  off.stall.look();
  assertEquals(off.stalls, 0);
});
