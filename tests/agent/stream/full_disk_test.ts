import { assert, assertEquals } from "@std/assert";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { codeOf, nextOffer, someBytes, streamPair } from "../../support/streams.ts";
import { namesIn, partIn } from "../../support/transfer.ts";
import { soon, until } from "../../support/wait.ts";

/**
 * A disk on which files that are being received have room for so many bytes, until there is more; none for their names
 * without `hasNames`. That it is full is said when `said` resolves.
 */
function smallDisk(
  room: number,
  { hasNames = true, syncs = true, said = Promise.resolve() }: {
    readonly hasNames?: boolean;
    /** Whether what was written has room when it comes to the disk. */
    readonly syncs?: boolean;
    readonly said?: Promise<void>;
  } = {},
) {
  const module = process.getBuiltinModule("node:fs/promises");
  const { open } = module;
  let used = 0, isFull = false;
  const full = () => Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  const opened = async (...args: Parameters<typeof open>) => {
    if (!hasNames && `${args[0]}`.endsWith(".part")) throw full();
    const handle = await open(...args);
    if (!`${args[0]}`.endsWith(".part")) return handle;
    const write = handle.write.bind(handle) as (
      bytes: Uint8Array,
      at: number,
      length: number,
      position: number,
    ) => ReturnType<typeof handle.write>;
    const sync = handle.sync.bind(handle);
    handle.sync = () => syncs ? sync() : Promise.reject(full());
    handle.write = ((bytes: Uint8Array, at: number, length: number, position: number) => {
      const fits = Math.min(length, room - used);
      if (fits === 0) {
        isFull = true;
        return said.then(() => Promise.reject(full()));
      }
      used += fits;
      return write(bytes, at, fits, position);
    }) as typeof handle.write;
    return handle;
  };
  Object.assign(module, { open: opened });
  return {
    isFull: () => isFull,
    clear() {
      room = Infinity;
      hasNames = syncs = true;
    },
    [Symbol.dispose]: () => void Object.assign(module, { open }),
  };
}

const size = 1_500_000, room = 600_001;

Deno.test("a file for which there is no room goes on where it was when there is", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  using disk = smallDisk(room);
  const bytes = someBytes(size), to = `${folder.path}/to`;
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([bytes]), { name: "big" });
  const offer = await nextOffer(pair.bob);
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, to))), "NO_ROOM");
  assert(disk.isFull());
  assertEquals([partIn(folder.path), offer.progress.bytes < size, offer.status], [room, true, "accepted"]);
  await until(() => server.gauges().queues === 2);
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, to))), "NO_ROOM");
  disk.clear();
  const starts: number[] = [];
  const onProgress = ({ bytes }: { readonly bytes: number }) => void starts.push(bytes);
  const received = await soon(pair.bob.agent.receiveFile(offer, to, { onProgress }));
  assertEquals(received.size, size);
  await soon(outgoing.ended);
  assert(starts[0]! >= room, `${starts}`);
  assertEquals(await Deno.readFile(to), bytes);
  assertEquals(namesIn(folder.path), ["to"]);
});

Deno.test("of a file that did not come to the disk nothing is gone on from", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  using disk = smallDisk(Infinity, { syncs: false });
  const bytes = someBytes(200_000), to = `${folder.path}/to`;
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([bytes]));
  const offer = await nextOffer(pair.bob);
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, to))), "NO_ROOM");
  assertEquals(partIn(folder.path), 0);
  disk.clear();
  await soon(pair.bob.agent.receiveFile(offer, to));
  await soon(outgoing.ended);
  assertEquals(await Deno.readFile(to), bytes);
});

for (const who of ["sender", "receiver"] as const) {
  Deno.test(`the part of a file for which there is no room goes when its ${who} cancels it`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startServer();
    await using pair = await streamPair(server);
    using _ = smallDisk(room);
    const outgoing = await pair.alice.agent.sendFile("b", new Blob([someBytes(size)]));
    const offer = await nextOffer(pair.bob);
    assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, `${folder.path}/to`))), "NO_ROOM");
    assertEquals(partIn(folder.path), room);
    await (who === "sender" ? outgoing : offer).cancel();
    await until(() => namesIn(folder.path).length === 0);
    assertEquals([await codeOf(outgoing.ended), await codeOf(offer.ended)], ["CANCELLED", "CANCELLED"]);
    await until(() => server.gauges().queues === 2);
  });
}

Deno.test("the part of a file with which nobody goes on goes after as long as an offer waits", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server, { b: { streamOfferLifetime: 2_000 } });
  using _ = smallDisk(room);
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([someBytes(size)]));
  const offer = await nextOffer(pair.bob);
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, `${folder.path}/to`))), "NO_ROOM");
  assertEquals([await codeOf(soon(offer.ended)), await codeOf(soon(outgoing.ended))], ["EXPIRED", "EXPIRED"]);
  await until(() => namesIn(folder.path).length === 0);
});

Deno.test("the part of a file goes when its stream ends while the disk is found full", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { promise: said, resolve: say } = Promise.withResolvers<void>();
  using disk = smallDisk(room, { said });
  await pair.alice.agent.sendFile("b", new Blob([someBytes(size)]));
  const offer = await nextOffer(pair.bob);
  const received = codeOf(soon(pair.bob.agent.receiveFile(offer, `${folder.path}/to`)));
  await until(disk.isFull);
  const cancelled = offer.cancel();
  assertEquals(await codeOf(offer.ended), "CANCELLED");
  say();
  assertEquals(await received, "NO_ROOM");
  await cancelled;
  await until(() => namesIn(folder.path).length === 0);
});

Deno.test("the part of a file for which there is no room goes with its connection", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  using _ = smallDisk(room);
  await pair.alice.agent.sendFile("b", new Blob([someBytes(size)]));
  const offer = await nextOffer(pair.bob);
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, `${folder.path}/to`))), "NO_ROOM");
  await pair.bob.agent.delete("a");
  await until(() => namesIn(folder.path).length === 0);
});

Deno.test("a file for whose name there is no room is received when there is", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  using disk = smallDisk(Infinity, { hasNames: false });
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([someBytes(1000)]));
  const offer = await nextOffer(pair.bob), to = `${folder.path}/to`;
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, to))), "NO_ROOM");
  assertEquals(offer.status, "offered");
  disk.clear();
  await soon(pair.bob.agent.receiveFile(offer, to));
  await soon(outgoing.ended);
});

Deno.test("a file for which a browser has no room is received when there is", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([someBytes(1000)]));
  const offer = await nextOffer(pair.bob);
  const full = new WritableStream<Uint8Array>({
    write: () => Promise.reject(new DOMException("no room", "QuotaExceededError")),
  });
  assertEquals(await codeOf(soon(pair.bob.agent.receiveFile(offer, full))), "NO_ROOM");
  const { size } = await soon(pair.bob.agent.receiveFile(offer, new WritableStream<Uint8Array>()));
  assertEquals(size, 1000);
  await soon(outgoing.ended);
});
