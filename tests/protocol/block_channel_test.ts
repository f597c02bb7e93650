import { assert, assertEquals, assertRejects } from "@std/assert";
import { asciiText, textBytes } from "../../protocol/bytes.ts";
import {
  BlockChannel,
  BlockCipher,
  blockSizes,
  type Channel,
  clientHandshake,
  contentLimit,
  defaultBlockSize,
  generateKeyPair,
  memoryChannelPair,
  serverHandshake,
  type SessionKeys,
  TransportError,
} from "../../protocol/mod.ts";
import * as nodeCrypto from "node:crypto";
import type { CryptoEngine } from "../../protocol/crypto/engine/engine.ts";
import { nodeEngine } from "../../protocol/crypto/engine/node.ts";
import { webEngine } from "../../protocol/crypto/engine/web.ts";
import { openSsl, openSslLack } from "../support/openssl.ts";
import { requiring } from "../support/requires.ts";
import { base64, vectors } from "../support/vectors.ts";

const engines: Readonly<Record<string, CryptoEngine>> = {
  web: webEngine,
  node: nodeEngine(nodeCrypto),
};

const keys: SessionKeys = {
  sndKey: new Uint8Array(32).fill(1),
  sndBaseIv: new Uint8Array(16).fill(0xff),
  rcvKey: new Uint8Array(32).fill(3),
  rcvBaseIv: new Uint8Array(16).fill(4),
};
const swapped: SessionKeys = {
  sndKey: keys.rcvKey,
  sndBaseIv: keys.rcvBaseIv,
  rcvKey: keys.sndKey,
  rcvBaseIv: keys.sndBaseIv,
};

/** A block channel at one end, and the raw channel and the block channel at the other. */
async function connect(blockSize = 4096): Promise<{ near: BlockChannel; far: BlockChannel; raw: Channel }> {
  const [end, raw] = memoryChannelPair();
  return {
    near: await BlockChannel.create(end, blockSize, keys),
    far: await BlockChannel.create(raw, blockSize, swapped),
    raw,
  };
}

async function assertFails(code: string, task: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(task, TransportError)).code, code);
}

// transport.md Blocks
Deno.test(
  "A block of the vectors is opened, and made again at its counter",
  { permissions: "none" },
  async () => {
    for (const { key, baseIv, counter, content, block, blockSize } of vectors.transport.blocks) {
      const create = (counter: number) => BlockCipher.create(base64(key), base64(baseIv), counter);
      const padded = new Uint8Array(blockSize - 16).fill(0x23);
      padded.set(base64(content));
      assertEquals(base64(block).length, blockSize);
      const made = new Uint8Array(blockSize);
      await (await create(counter)).encrypt(base64(content), made);
      assertEquals(made, base64(block), `${counter}`);
      assertEquals(await (await create(counter)).decrypt(base64(block)), padded, `${counter}`);
      for (const other of [counter + 1, counter - 1, 7]) {
        if (other < 0 || other >= 2 ** 32) continue;
        const cipher = await create(other);
        await assertFails("AES_DECRYPT", () => cipher.decrypt(base64(block)));
      }
    }
  },
);

Deno.test(
  "Blocks go both ways, each direction with its own keys and counter",
  { permissions: "none" },
  async () => {
    const { near, far } = await connect();
    await near.write([textBytes("one "), textBytes("two ")]);
    await near.write([]);
    await near.write([textBytes("three ")]);
    await far.write([textBytes("four ")]);
    for (const [to, text] of [[far, "one "], [far, "two "], [near, "four "], [far, "three "]] as const) {
      assertEquals(asciiText((await to.read())!), text.padEnd(4080, "#"));
    }
    await near.end();
    assertEquals(await far.read(), null);
  },
);

// transport.md Blocks: the content must be shorter by at least one byte; nothing is sent
Deno.test(
  "A block takes content up to its limit, and sends nothing of more",
  { permissions: "none" },
  async () => {
    assertEquals([defaultBlockSize, contentLimit(4096)], [4096, 4079]);
    for (const blockSize of blockSizes) {
      const { near, far, raw } = await connect(blockSize);
      const most = blockSize - 17;
      assertEquals([near.blockSize, contentLimit(blockSize)], [blockSize, most]);
      for (const length of [most + 1, most + 2, 2 * blockSize]) {
        await assertFails("BLOCK", () => near.write([new Uint8Array(length)]));
      }
      await near.write([new Uint8Array(most)]);
      assertEquals(await far.read(), new Uint8Array(blockSize - 16).with(most, 0x23));
      await near.write([new Uint8Array(most), new Uint8Array(most - 1)]);
      assertEquals(await far.readLent(), new Uint8Array(blockSize - 16).with(most, 0x23));
      assertEquals(await far.readLent(), new Uint8Array(blockSize - 16).fill(0x23, most - 1));
      await near.end();
      assertEquals(await raw.read(blockSize), null);
    }
  },
);

// transport.md Blocks: the counter grows by one per block; nothing is sent
Deno.test(
  "Contents of which one is too long leave the connection as it was",
  { permissions: "none" },
  async () => {
    const { near, far } = await connect();
    const tooLong = new Uint8Array(4080);
    await assertFails("BLOCK", () => near.write([textBytes("lost "), tooLong]));
    await near.write([textBytes("next ")]);
    assertEquals(asciiText((await far.read())!), "next ".padEnd(4080, "#"));
  },
);

Deno.test("A block that is changed, repeated, left out or sent back is not authentic", {
  permissions: "none",
}, async () => {
  const { near, raw } = await connect();
  await near.write(["one", "two", "three"].map(textBytes));
  const blocks: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < 3; i++) blocks.push((await raw.read(4096))!);
  const [one, two, three] = blocks as [typeof blocks[0], typeof blocks[0], typeof blocks[0]];
  const change = (at: number) => two!.with(at, two!.at(at)! ^ 1);
  const wrong = { repeated: one!, leftOut: three!, zeros: new Uint8Array(4096) };
  const changed = { firstOfTag: change(0), lastOfTag: change(15), first: change(16), last: change(4095) };
  for (const [what, block] of Object.entries({ ...wrong, ...changed })) {
    const [end, peer] = memoryChannelPair();
    const channel = await BlockChannel.create(end, 4096, swapped);
    await peer.write([one!, block]);
    assertEquals(asciiText((await channel.read())!.subarray(0, 4)), "one#", what);
    await assertFails("AES_DECRYPT", () => channel.read());
  }
  await raw.write([one!]);
  await assertFails("AES_DECRYPT", () => near.read());
});

// transport.md Channels: a message of another length than the one expected is a bad block
Deno.test("A unit that is not as long as a block is a bad block", { permissions: "none" }, async () => {
  for (const length of [0, 1, 15, 16, 4095, 4097, 8192]) {
    const { near, raw } = await connect();
    await raw.write([new Uint8Array(length)]);
    await assertFails("BLOCK", () => near.read());
  }
});

// transport.md Blocks: a connection is closed before a counter would repeat
Deno.test("The last counter is used once, in either direction", { permissions: "none" }, async () => {
  const last = 2 ** 32 - 1;
  const [end, raw] = memoryChannelPair();
  const create = async (channel: Channel, keys: SessionKeys, snd: number, rcv: number) =>
    new BlockChannel(channel, 4096, {
      snd: await BlockCipher.create(keys.sndKey, keys.sndBaseIv, snd),
      rcv: await BlockCipher.create(keys.rcvKey, keys.rcvBaseIv, rcv),
    });
  const near = await create(end, keys, last, last - 1);
  const far = await create(raw, swapped, last - 1, last);

  await near.write([textBytes("last ")]);
  assertEquals(asciiText((await far.read())!), "last ".padEnd(4080, "#"));
  await assertFails("COUNTER", () => near.write([textBytes("one more ")]));

  for (const text of ["last but one ", "last "]) {
    await far.write([textBytes(text)]);
    assertEquals(asciiText((await near.read())!), text.padEnd(4080, "#"));
  }
  await assertFails("COUNTER", () => far.write([textBytes("one more ")]));
  await raw.write([new Uint8Array(4096)]);
  await assertFails("COUNTER", () => near.read());

  await near.end();
  assertEquals(await raw.read(4096), null, "nothing was sent after the last block");
});

Deno.test("A cipher keeps its own copy of the base IV", { permissions: "none" }, async () => {
  const baseIv = keys.sndBaseIv.slice();
  const cipher = await BlockCipher.create(keys.sndKey, baseIv);
  baseIv.fill(0);
  const block = new Uint8Array(4096);
  await cipher.encrypt(textBytes("one "), block);
  const other = await BlockCipher.create(keys.sndKey, keys.sndBaseIv);
  assertEquals(asciiText((await other.decrypt(block)).subarray(0, 5)), "one #");
});

Deno.test(
  "Draining reads to the end, whatever comes and however it ends",
  { permissions: "none" },
  async () => {
    const ended = await connect();
    await ended.raw.write([new Uint8Array(4096), new Uint8Array(4096)]);
    await ended.raw.end();
    await ended.near.drain();
    assertEquals(await ended.near.read(), null);

    const broken = await connect();
    await broken.raw.write([new Uint8Array(1)]);
    await broken.near.drain();

    const closed = await connect();
    await closed.near.close();
    await closed.near.drain();
    await assertFails("CLOSED", () => closed.near.read());
    await assertFails("CLOSED", () => closed.near.write([textBytes("one ")]));
  },
);

async function assertWipes(name: string, engine: CryptoEngine): Promise<void> {
  const raw = new Uint8Array(32).fill(1);
  const key = await engine.importAesKey(raw);
  const sealed = new Uint8Array(32);
  await key.seal(new Uint8Array(16), sealed);
  key.wipe();
  // A copy was overwritten, and what was made with the key before cannot be opened with what is left.
  assertEquals(raw, new Uint8Array(32).fill(1), name);
  if (name !== "web") assertEquals(await key.open(new Uint8Array(16), sealed), null, name);
}

requiring(openSslLack)("Closing overwrites keys of OpenSSL", () => assertWipes("OpenSSL", openSsl!));

Deno.test("Closing overwrites the keys: nothing is encrypted or decrypted any more", async () => {
  for (const [name, engine] of Object.entries(engines)) await assertWipes(name, engine);
  const { near, far, raw } = await connect();
  await far.write([textBytes("one ")]);
  await near.close();
  for (const use of [() => near.write([textBytes("two ")]), () => near.read()]) {
    await assertFails("CLOSED", use);
  }
  await raw.close();
  const cipher = await BlockCipher.create(keys.sndKey, keys.sndBaseIv);
  cipher.wipe();
  await assertFails("CLOSED", () => cipher.encrypt(textBytes("x"), new Uint8Array(4096)));
  await assertFails("CLOSED", () => cipher.decrypt(new Uint8Array(4096)));
});

Deno.test("After the handshake nothing but the channel has the session keys", async () => {
  const { publicKey, privateKey } = await generateKeyPair("decrypt");
  const [clientEnd, serverEnd] = memoryChannelPair();
  let seen: SessionKeys | undefined;
  const isNew = (keys: SessionKeys) => {
    assert(keys.sndKey.some((byte) => byte !== 0));
    seen = keys;
    return true;
  };
  const [client, server] = await Promise.all([
    clientHandshake(clientEnd),
    serverHandshake(serverEnd, { publicKey, privateKey, isNew }),
  ]);
  for (const bytes of Object.values(seen!)) assertEquals(bytes, new Uint8Array(bytes.length));
  await client.write([textBytes("still works ")]);
  assertEquals(asciiText((await server.read())!).slice(0, 12), "still works ");
  await Promise.all([client.close(), server.close()]);
});

/** Tells which memory each write of a channel is given; it resolves when `finish` is called. */
async function writing({ releasesWritten = true, isClient = true, blockSize = 65_536 }) {
  const memory: ArrayBuffer[] = [];
  let finish: (error?: Error) => void = () => {};
  const channel: Channel = {
    releasesWritten,
    read: () => Promise.resolve(null),
    write: ([unit]) =>
      new Promise((resolve, reject) => {
        memory.push(unit!.buffer);
        finish = (error) => error ? reject(error) : resolve();
      }),
    end: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const end = { serverKey: new Uint8Array(32), isClient };
  const blocks = await BlockChannel.create(channel, blockSize, keys, end);
  const begin = async (count: number) => {
    const { length } = memory;
    const written = blocks.write(Array.from({ length: count }, () => new Uint8Array(5)));
    written.catch(() => {});
    while (memory.length === length) await new Promise((resolve) => setTimeout(resolve));
    return { memory: memory.at(-1)!, written, finish };
  };
  return { begin };
}

Deno.test("A client writes large blocks with the memory of the write before, when that is over", async () => {
  const { begin } = await writing({});
  const first = await begin(2), second = await begin(1);
  assert(first.memory !== second.memory, "the first is under way");
  first.finish();
  await first.written;
  const third = await begin(2);
  assert(third.memory === first.memory);
  third.finish(new Error("broken"));
  await third.written.catch(() => {});
  const fourth = await begin(2);
  assert(fourth.memory !== third.memory, "the third has failed");
  fourth.finish();
  await fourth.written;
  const fifth = await begin(3);
  assert(fifth.memory !== fourth.memory, "it is too small");
  fifth.finish();
  await fifth.written;
  assert((await begin(1)).memory === fifth.memory);
});

for (const parameters of [{ releasesWritten: false }, { isClient: false }, { blockSize: 4096 }]) {
  Deno.test(`A channel keeps no memory of its writes: ${JSON.stringify(parameters)}`, async () => {
    const { begin } = await writing(parameters);
    const first = await begin(1);
    first.finish();
    await first.written;
    assert((await begin(1)).memory !== first.memory);
  });
}

Deno.test("A server gives back the memory of large blocks when they are written, and of no others", async () => {
  const lengthAfter = async (parameters: Parameters<typeof writing>[0], error?: Error) => {
    const { memory, written, finish } = await (await writing({ isClient: false, ...parameters })).begin(1);
    finish(error);
    await written.catch(() => {});
    return memory.byteLength;
  };
  const lengths = [
    await lengthAfter({}),
    await lengthAfter({}, new Error("broken")),
    await lengthAfter({ releasesWritten: false }),
    await lengthAfter({ blockSize: 4096 }),
  ];
  assertEquals(lengths, [0, 65_536, 65_536, 4096]);
});
