import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type Channel, TransportError } from "../../protocol/mod.ts";
import { soon, until } from "./wait.ts";

/** Two connected channels; the contract is about `near`, with `far` as its peer. */
export interface ChannelPair extends AsyncDisposable {
  readonly near: Channel;
  readonly far: Channel;
}

/** What a kind of channel is, where kinds differ. */
export interface ChannelTraits {
  /** Units are messages, so that one of another length can arrive. */
  readonly messages: boolean;
  /** After `end` the peer's data still comes. */
  readonly halfClose: boolean;
  /** The end that is a platform's WebSocket, which reads whether anybody wants it or not. */
  readonly readsAhead?: "near" | "far";
}

/** Bytes of a unit in the tests that fill the buffers. */
const bulk = 65536;
/** Bytes that all buffers between a writer and a reader that does not read may hold. */
const mostAhead = 32 * 2 ** 20;

/** `length` bytes that differ from those of another `seed`. */
export function unitOf(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  // A loop takes a thirtieth of what a call for each byte does.
  for (let i = 0; i < length; i++) bytes[i] = seed * 31 + i * 7;
  return bytes;
}

/** What a failed read or write says. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  const error = await soon(promise.then(() => "it did not fail", (error) => error));
  assertInstanceOf(error, TransportError);
  return error.code;
}

/** Writes until that fails. */
export class Filling {
  /** Bytes that the channel has taken. */
  written = 0;
  /** The code of the error that ended it. */
  readonly failed: Promise<string>;
  #last = performance.now();

  /** Begins to write. */
  constructor(channel: Channel) {
    this.failed = this.#run(channel).then(() => "it did not fail", ({ code }) => code);
  }

  /** Waits until nothing was taken for a while. */
  stand(): Promise<void> {
    return until(() => performance.now() - this.#last > 100);
  }

  async #run(channel: Channel): Promise<void> {
    const unit = unitOf(bulk, 1);
    while (this.written < 2 * mostAhead) {
      await channel.write([unit]);
      this.written += bulk;
      this.#last = performance.now();
    }
  }
}

/** Tests that channels of one kind do what `Channel` says. */
export function testChannel(name: string, open: () => Promise<ChannelPair>, traits: ChannelTraits): void {
  const test = (what: string, run: (pair: ChannelPair) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, async () => {
      await using pair = await open();
      await run(pair);
    });

  test("units of any size arrive whole and in order, however they are written", async ({ near, far }) => {
    const units = [1, 8, 294, 256, 4096, 65536, 1, 2].map(unitOf);
    const write = async () => {
      await far.write(units);
      for (const unit of units) await far.write([unit]);
      await far.write([]);
      await far.write(units.slice(0, 3));
    };
    const read = async () => {
      for (const unit of [...units, ...units, ...units.slice(0, 3)]) {
        assertEquals(await soon(near.read(unit.length)), unit);
      }
    };
    await Promise.all([write(), read()]);
  });

  test("both ends write and read hundreds of units at the same time", async ({ near, far }) => {
    const seeds = Array.from({ length: 300 }, (_, i) => i);
    const send = async (channel: Channel) => {
      for (const seed of seeds) await channel.write([unitOf(4096, seed)]);
    };
    const receive = async (channel: Channel) => {
      for (const seed of seeds) assertEquals(await channel.read(4096), unitOf(4096, seed));
    };
    await soon(Promise.all([send(near), send(far), receive(near), receive(far)]));
  });

  test("a unit may be changed once it is written", async ({ near, far }) => {
    const unit = unitOf(4096, 1);
    await near.write([unit]);
    unit.fill(0);
    assertEquals(await soon(far.read(4096)), unitOf(4096, 1));
  });

  test("a read that waits gets what comes later", async ({ near, far }) => {
    const waiting = near.read(5);
    await far.write([unitOf(5, 1)]);
    assertEquals(await soon(waiting), unitOf(5, 1));
  });

  test("the end comes after all data, and again when asked again", async ({ near, far }) => {
    for (let i = 0; i < 10; i++) await far.write([unitOf(4096, i)]);
    await far.end();
    for (let i = 0; i < 10; i++) assertEquals(await soon(near.read(4096)), unitOf(4096, i));
    assertEquals(await soon(near.read(4096)), null);
    assertEquals(await soon(near.read(1)), null);
  });

  test("what this end writes before its end arrives, and nothing after", async ({ near, far }) => {
    for (let i = 0; i < 10; i++) await near.write([unitOf(4096, i)]);
    await near.end();
    for (let i = 0; i < 10; i++) assertEquals(await soon(far.read(4096)), unitOf(4096, i));
    assertEquals(await soon(far.read(4096)), null);
    assert(["CLOSED", "NETWORK"].includes(await failureOf(near.write([unitOf(1, 1)]))));
  });

  if (traits.halfClose) {
    test("after its end it still reads", async ({ near, far }) => {
      await near.end();
      assertEquals(await soon(far.read(8)), null);
      await far.write([unitOf(8, 1)]);
      await far.end();
      assertEquals(await soon(near.read(8)), unitOf(8, 1));
      assertEquals(await soon(near.read(8)), null);
    });
  }

  test("a read that waits sees that the peer closes", async ({ near, far }) => {
    const waiting = near.read(8).catch((error) => error);
    await soon(far.close());
    const result = await soon(waiting);
    assert(result === null || result instanceof TransportError && result.code === "NETWORK");
  });

  test("a write fails with NETWORK once the peer has closed", async ({ near, far }) => {
    await soon(far.close());
    assertEquals(await soon(new Filling(near).failed), "NETWORK");
  });

  if (traits.readsAhead !== "far") {
    test("a write that waits fails with NETWORK when the peer closes", async ({ near, far }) => {
      const filling = new Filling(near);
      await filling.stand();
      await soon(far.close());
      assertEquals(await soon(filling.failed), "NETWORK");
    });
  }

  test("a read that waits fails with CLOSED when this end closes", async ({ near }) => {
    const waiting = failureOf(near.read(8));
    const closing = near.close();
    assertEquals(await waiting, "CLOSED");
    await soon(closing);
  });

  if (traits.readsAhead !== "far") {
    test("a write that waits fails with CLOSED when this end closes", async ({ near, far }) => {
      const filling = new Filling(near);
      await filling.stand();
      const closing = near.close();
      assertEquals(await soon(filling.failed), "CLOSED");
      await far.close();
      await soon(closing);
    });
  }

  test("everything fails with CLOSED after closing, also closing twice", async ({ near, far }) => {
    await far.write([unitOf(8, 1)]);
    await soon(Promise.all([near.close(), near.close()]));
    await soon(near.close());
    for (let i = 0; i < 2; i++) {
      assertEquals(await failureOf(near.read(8)), "CLOSED");
      assertEquals(await failureOf(near.write([unitOf(8, 1)])), "CLOSED");
    }
  });

  test("it closes after the peer, and after its own end", async ({ near, far }) => {
    await near.end();
    await soon(far.close());
    await soon(near.close());
    assertEquals(await failureOf(near.read(8)), "CLOSED");
  });

  if (traits.readsAhead !== "near") {
    test("a writer does not get far ahead of a reader that does not read, and goes on after", async (pair) => {
      const { near, far } = pair;
      const filling = new Filling(far);
      await filling.stand();
      const ahead = filling.written;
      assert(ahead < mostAhead, `${ahead} bytes are ahead`);
      for (let at = 0; at <= ahead; at += bulk) assertEquals((await soon(near.read(bulk)))?.length, bulk);
      await until(() => filling.written > ahead);
      await pair[Symbol.asyncDispose]();
      await soon(filling.failed);
    });
  }

  if (!traits.messages) {
    test("an end inside a unit is TERMINATED", async ({ near, far }) => {
      await far.write([unitOf(8, 1), unitOf(7, 2)]);
      await far.end();
      assertEquals(await soon(near.read(8)), unitOf(8, 1));
      const error = await assertRejects(() => soon(near.read(8)), TransportError, "7 of 8");
      assertEquals(error.code, "TERMINATED");
    });
    return;
  }

  for (const length of [0, 1, 7, 9, 4096]) {
    test(`a message of ${length} bytes instead of 8 is BLOCK`, async ({ near, far }) => {
      await far.write([unitOf(8, 1), unitOf(length, 2)]);
      assertEquals(await soon(near.read(8)), unitOf(8, 1));
      assertEquals(await failureOf(near.read(8)), "BLOCK");
    });
  }

  test("messages of other lengths do not stop a writer that waits", async ({ near, far }) => {
    const write = async () => {
      for (let i = 0; i < 100; i++) await far.write([unitOf(7, i)]);
      await far.write([unitOf(8, 1)]);
    };
    const read = async () => {
      for (let i = 0; i < 100; i++) assertEquals(await failureOf(near.read(8)), "BLOCK");
      assertEquals(await soon(near.read(8)), unitOf(8, 1));
    };
    await Promise.all([write(), read()]);
  });
}
