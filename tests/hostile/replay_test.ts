import { assert, assertEquals } from "@std/assert";
import { encodeClientTransmission, encodeSigned, signPss } from "../../mod.ts";
import {
  type Channel,
  decodePublicKey,
  encryptOaep,
  joinParts,
  randomBytes,
  textBytes,
} from "../../protocol/mod.ts";
import { ReplayGuard, type SmpServer } from "../../server/mod.ts";
import { handshakesPath } from "../../server/store/handshake_log.ts";
import { copyStores } from "../../server/store/durable.ts";
import { openStores, storePaths, temporaryFolder } from "../support/durable.ts";
import { extensionSettings } from "../support/extension_settings.ts";
import {
  openChannel,
  RawClient,
  readServerKey,
  type SocketName,
  socketNames,
} from "../support/raw_client.ts";
import { connect, startServer } from "../support/server.ts";
import { keyOf } from "../support/test_keys.ts";
import { soon, until } from "../support/wait.ts";

type Units = Uint8Array<ArrayBuffer>[];

const keyPair = await keyOf("client", "sign");

/** A session that creates a queue, as somebody on the way would see it: everything that the client has written. */
async function recordSession(server: SmpServer, socket: SocketName): Promise<Units> {
  const recorded: Units = [];
  const inner = await openChannel(server, socket);
  const channel: Channel = {
    read: (size) => inner.read(size),
    write: (units) => (recorded.push(...units.map((unit) => unit.slice())), inner.write(units)),
    end: () => inner.end(),
    close: () => inner.close(),
  };
  await using client = await RawClient.handshake(channel);
  const text = encodeSigned(textBytes("c"), "", { type: "NEW", recipientKey: keyPair.publicKey });
  await client.send(encodeClientTransmission(await signPss(keyPair.privateKey, text), text));
  assert((await client.receive())?.includes("IDS"));
  return recorded;
}

/** Plays a session back; gives what the server answers after its header and key. */
async function play(server: SmpServer, socket: SocketName, units: Units): Promise<Uint8Array | null> {
  const channel = await openChannel(server, socket);
  try {
    await readServerKey(channel);
    await channel.write(units).catch(() => {});
    return await soon(channel.read(1).catch(() => null));
  } finally {
    await channel.close();
  }
}

for (const socket of socketNames) {
  for (const { suffix, extensions } of extensionSettings) {
    Deno.test(`over ${socket}, a recorded session that is played back does nothing and is not answered${suffix}`, async () => {
      await using server = await startServer({ extensions });
      const session = await recordSession(server, socket);
      for (const length of [session.length, 1]) {
        assertEquals(await play(server, socket, session.slice(0, length)), null);
      }
      await until(() => server.connections === 0);
      assertEquals([server.gauges().queues, server.metrics.refused.get("replay")], [1, 2]);
      await using client = await soon(connect(server));
      await client.ping();
    });
  }
}

Deno.test("a server with a log refuses sessions of earlier runs, also after it was moved", async () => {
  await using folder = await temporaryFolder();
  await using moved = await temporaryFolder();
  const run = async <T>(path: string, task: (server: SmpServer) => Promise<T>): Promise<T> => {
    await using stores = await openStores(path);
    await using server = await startServer({ ...stores });
    return await task(server);
  };
  const session = await run(folder.path, (server) => recordSession(server, "tcp"));
  const isRefused = async (server: SmpServer) => {
    assertEquals(await play(server, "tcp", session), null);
    await until(() => server.metrics.refused.get("replay") === 1);
    assertEquals(server.gauges().queues, 1);
  };
  await run(folder.path, isRefused);
  await copyStores(storePaths(folder.path), storePaths(moved.path));
  await run(moved.path, isRefused);
  await run(folder.path, async (server) => await recordSession(server, "tcp"));
});

Deno.test("lines of the handshakes' file that say nothing are left out, the others count", async () => {
  await using folder = await temporaryFolder();
  const path = handshakesPath(storePaths(folder.path).storeLog);
  await Deno.writeTextFile(path, "abc\n\nÄ\nzzzzzzzzzzzz\n10\n-1\n1.5\nxy");
  await (await openStores(folder.path)).close();
  assertEquals((await Deno.readTextFile(path)).split("\n").toSorted(), ["", "10", "abc", "xy"]);
  if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
});

Deno.test("a handshake with one key for both directions is refused", async () => {
  await using server = await startServer();
  const key = randomBytes(32);
  const start = Uint8Array.of(0, 0, 16, 0, 0, 0);
  const content = joinParts([start, key, randomBytes(16), key, randomBytes(16)]);
  const channel = await openChannel(server, "tcp");
  const der = await readServerKey(channel);
  await channel.write([await encryptOaep(decodePublicKey(der), content)]);
  assertEquals(await soon(channel.read(1)), null);
  await channel.close();
  await until(() => server.metrics.handshakesFailed === 1);
});

Deno.test(
  "the last handshakes are remembered, at least as many as asked for",
  { permissions: "none" },
  async () => {
    const written: number[] = [];
    const write = (digest: number) => Promise.resolve(void written.push(digest));
    const most = 1000;
    const guard = new ReplayGuard({ most, write });
    const keys = Array.from({ length: 3 * most }, () => ({
      sndKey: randomBytes(32),
      sndBaseIv: randomBytes(16),
      rcvKey: randomBytes(32),
      rcvBaseIv: randomBytes(16),
    }));
    for (const some of keys) {
      assert(await guard.isNew(some));
      assert(!await guard.isNew({ ...some }));
    }
    for (const some of keys.slice(-most)) assert(!await guard.isNew(some));
    assert(guard.size >= most && guard.size <= 2 * most, `${guard.size}`);
    assertEquals(written.length, keys.length);
    assertEquals([...guard.digests()].toSorted(), written.slice(-guard.size).toSorted());
  },
);

Deno.test("one of several equal handshakes at a time is new", { permissions: "none" }, async () => {
  const guard = new ReplayGuard({ write: () => new Promise((resolve) => setTimeout(resolve, 1)) });
  const keys = {
    sndKey: randomBytes(32),
    sndBaseIv: randomBytes(16),
    rcvKey: randomBytes(32),
    rcvBaseIv: randomBytes(16),
  };
  const answers = await Promise.all(Array.from({ length: 5 }, () => guard.isNew(keys)));
  assertEquals(answers.filter((isNew) => isNew).length, 1);
});

Deno.test("a handshake that comes while the file is written anew drops none of the others", {
  permissions: "none",
}, () => {
  const guard = new ReplayGuard({ most: 4 });
  for (let digest = 1; digest <= 8; digest++) guard.remember(digest);
  const written: number[] = [];
  for (const digest of guard.digests()) {
    // Makes the newer half the older one.
    if (written.length === 0) guard.remember(9);
    written.push(digest);
  }
  assertEquals(written.toSorted((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8]);
});
