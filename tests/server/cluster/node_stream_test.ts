import { assert, assertEquals, assertRejects } from "@std/assert";
import { randomBytes } from "../../../protocol/mod.ts";
import { NodeStream, streamWindow } from "../../../server/cluster/node_stream.ts";
import { type ByteStream, writeAll } from "../../../server/link/byte_stream.ts";
import { streamPair } from "../../../server/link/stream_pair.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";

/** Two ends of a stream, and what is done with the messages between them. */
class Ends {
  readonly ends: readonly [NodeStream, NodeStream];
  /** Messages on their way that are dropped. */
  lost = 0;
  readonly closed: string[] = [];

  constructor() {
    this.ends = [this.#end("a", () => this.ends[1]), this.#end("b", () => this.ends[0])];
  }

  #end(name: string, other: () => NodeStream): NodeStream {
    const deliver = (message: () => void) => {
      if (this.lost > 0) this.lost--;
      else message();
    };
    return new NodeStream({
      send: (number, data) => {
        const copy = data.slice();
        deliver(() => other().receive(number, copy));
      },
      tellRead: (bytes) => deliver(() => other().taken(bytes)),
      tellAlive: (number, bytesRead) =>
        deliver(() => {
          other().alive(number);
          other().taken(bytesRead);
        }),
      ended: (tells) => {
        this.closed.push(name);
        if (tells) other().fail("the peer has closed it", { tells: false });
      },
    });
  }
}

async function readSome(stream: ByteStream, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await soon(stream.read(bytes.subarray(at, at + 70_000)));
    if (count === null) throw new Error("the stream has ended");
    at += count;
  }
  return bytes;
}

for (
  const [what, make] of [
    ["to another node", () => new Ends().ends],
    ["inside this process", streamPair],
  ] as const
) {
  Deno.test(`a stream ${what} gives what was written, both ways`, { permissions }, async () => {
    const [a, b] = make();
    const sizes = [1, 5, 65_536, 200_000, 3 * streamWindow + 1];
    for (const [from, to] of [[a, b], [b, a]] as const) {
      for (const size of sizes) {
        const bytes = new Uint8Array(size);
        bytes.set(randomBytes(Math.min(size, 65_536)));
        bytes[size - 1] = 7;
        const [read] = await Promise.all([readSome(to, size), soon(writeAll(from, bytes))]);
        assertEquals(read, bytes);
      }
    }
    const reading = b.read(new Uint8Array(1));
    a.close();
    assertEquals(await reading.catch(() => null), null);
    await assertRejects(() => b.write(new Uint8Array(1)));
  });
}

Deno.test("a writer waits when nobody reads, and goes on when somebody does", { permissions }, async () => {
  const { ends: [a, b] } = new Ends();
  let written = 0;
  const writing = (async () => {
    for (let i = 0; i < 40; i++) {
      await writeAll(a, new Uint8Array(65_536));
      written++;
    }
  })();
  await until(() => written === streamWindow / 65_536);
  await readSome(b, 40 * 65_536);
  await soon(writing);
});

Deno.test("a message that is lost ends both ends", { permissions }, async () => {
  const ends = new Ends();
  const [a, b] = ends.ends;
  await a.write(new Uint8Array(1));
  ends.lost = 1;
  await a.write(new Uint8Array(1));
  await a.write(new Uint8Array(1));
  assertEquals(ends.closed, ["b", "a"]);
  assertEquals(await b.read(new Uint8Array(10)), 1);
  await assertRejects(() => b.read(new Uint8Array(10)), Error, "messages were lost");
});

Deno.test("a message that is lost behind all others ends both ends soon", { permissions }, async () => {
  const ends = new Ends();
  const [a, b] = ends.ends;
  await a.write(new Uint8Array(1));
  ends.lost = 1;
  await a.write(new Uint8Array(1));
  assertEquals(await b.read(new Uint8Array(10)), 1);
  const reading = assertRejects(() => b.read(new Uint8Array(10)), Error, "messages were lost");
  for (let i = 0; i < 2; i++) for (const end of [a, b]) end.look();
  await reading;
  assertEquals(ends.closed, ["b", "a"]);
});

Deno.test(
  "a writer whose peer's word was lost of what it has read hears it again",
  { permissions },
  async () => {
    const ends = new Ends();
    const [a, b] = ends.ends;
    await writeAll(a, new Uint8Array(streamWindow));
    const writing = soon(a.write(new Uint8Array(1)));
    ends.lost = Infinity;
    await readSome(b, streamWindow);
    ends.lost = 0;
    for (let i = 0; i < 2; i++) for (const end of [a, b]) end.look();
    await writing;
    assertEquals(ends.closed, []);
  },
);

Deno.test(
  "a peer that says nothing in four looks is gone, and one that lives is not",
  { permissions },
  () => {
    const ends = new Ends();
    const [a, b] = ends.ends;
    for (let i = 0; i < 20; i++) for (const end of [a, b]) end.look();
    assertEquals(ends.closed, []);
    for (let i = 0; i < 3; i++) a.look();
    assertEquals(ends.closed, []);
    for (let i = 0; i < 2; i++) a.look();
    assertEquals(ends.closed, ["a", "b"]);
  },
);

Deno.test("a peer that sends more than it may, or has read more than was sent, ends the stream", {
  permissions,
}, () => {
  for (
    const misuse of [
      (stream: NodeStream) => {
        for (let i = 1; i <= 9; i++) stream.receive(i, new Uint8Array(131_072));
      },
      (stream: NodeStream) => stream.taken(1),
    ]
  ) {
    const ends = new Ends();
    misuse(ends.ends[0]);
    assert(ends.closed.includes("a"));
  }
});
