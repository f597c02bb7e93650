import { assert, assertEquals, assertRejects } from "@std/assert";
import { open } from "node:fs/promises";
import { MemoryStore } from "../../../agent/store/memory.ts";
import { partAt, removePart } from "../../../agent/stream/part_file.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { codeOf, connectForStreams, nextOffer, sessions, someBytes } from "../../support/streams.ts";
import { namesIn } from "../../support/transfer.ts";
import { soon, until } from "../../support/wait.ts";

/** A file of which a part has come to a folder, and both agents; the receiving one was started again since. */
async function stopped(path: string) {
  const resources = new AsyncDisposableStack();
  const server = resources.use(await startServer());
  const store = new MemoryStore();
  const alice = resources.use(await TestAgent.start(server.address, sessions));
  const before = await TestAgent.start(server.address, { ...sessions, store });
  await connectForStreams(server, alice, before);
  const outgoing = await alice.agent.sendFile("b", new Blob([someBytes(1_000_000)]));
  outgoing.pause();
  const offer = await nextOffer(before);
  const receiving = codeOf(before.agent.receiveFile(offer, `${path}/to`));
  await until(() => outgoing.status === "accepted");
  await before[Symbol.asyncDispose]();
  assertEquals([await soon(receiving), namesIn(path)], ["CLOSED", [`.${offer.id}.part`]]);
  const bob = resources.use(await TestAgent.start(server.address, { ...sessions, store }));
  await bob.agent.subscribeAll();
  return { bob, outgoing, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

Deno.test("the part of a file that was stopped goes with its stream after a restart, in which nobody receives it", async () => {
  await using folder = await temporaryFolder();
  await using file = await stopped(folder.path);
  await file.outgoing.cancel();
  await until(() => namesIn(folder.path).length === 0);
  assertEquals(file.bob.agent.streams(), []);
});

Deno.test("a file that is received into another folder after a restart leaves nothing in the first one", async () => {
  await using one = await temporaryFolder();
  await using two = await temporaryFolder();
  await using file = await stopped(one.path);
  const [offer] = file.bob.agent.streams();
  assert(offer?.direction === "receiving");
  file.outgoing.resume();
  await soon(file.bob.agent.receiveFile(offer, `${two.path}/to`));
  assertEquals([namesIn(one.path), namesIn(two.path)], [[], ["to"]]);
});

Deno.test("a file whose folder was moved before a restart goes on where it was", async () => {
  await using folder = await temporaryFolder();
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  await Deno.mkdir(from);
  await using file = await stopped(from);
  await Deno.rename(from, to);
  const [offer] = file.bob.agent.streams();
  assert(offer?.direction === "receiving");
  const part = `${to}/.${offer.id}.part`;
  await Deno.writeFile(part, someBytes(1_000_000).slice(0, 1_000));
  const { ino } = await Deno.stat(part);
  file.outgoing.resume();
  await soon(file.bob.agent.receiveFile(offer, `${to}/to`));
  assertEquals([namesIn(to), (await Deno.stat(`${to}/to`)).ino], [["to"], ino]);
});

Deno.test("the part of a file is read no further when it is not wanted any more", async () => {
  await using folder = await temporaryFolder();
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  await Deno.mkdir(from);
  await using file = await stopped(from);
  const [offer] = file.bob.agent.streams();
  assert(offer?.direction === "receiving");
  await Deno.rename(from, to);
  const part = `${to}/.${offer.id}.part`;
  await Deno.writeFile(part, someBytes(1_000_000).slice(0, 1_000));
  const abort = new AbortController();
  const receiving = file.bob.agent.receiveFile(offer, `${to}/to`, { signal: abort.signal });
  abort.abort();
  await assertRejects(() => soon(receiving), DOMException);
  // It was not gone on with.
  assertEquals([offer.progress.bytes, (await Deno.stat(part)).size], [0, 1_000]);
  const again = codeOf(file.bob.agent.receiveFile(offer, `${to}/to`));
  await offer.cancel();
  assertEquals([await soon(again), namesIn(to)], ["CANCELLED", []]);
});

Deno.test("a temporary file of another stream, whose sender has chosen the same ID, is not written to", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, sessions);
  await using bob = await TestAgent.start(server.address, sessions);
  await connectForStreams(server, alice, bob);
  const bytes = someBytes(1_000_000), outgoing = await alice.agent.sendFile("b", new Blob([bytes]));
  const offer = await nextOffer(bob);
  const to = `${folder.path}/to`, part = `${folder.path}/.${offer.id}.part`;
  await Deno.writeTextFile(part, "of another one");
  assertEquals(await soon(codeOf(bob.agent.receiveFile(offer, to))), "FAILED");
  assertEquals([await Deno.readTextFile(part), offer.status], ["of another one", "offered"]);
  // What a crash has left before it was known whose it is.
  await Deno.truncate(part);
  outgoing.pause();
  const receiving = codeOf(bob.agent.receiveFile(offer, to));
  await until(() => outgoing.status === "accepted");
  // What gets the name is what was written.
  await Deno.rename(part, `${folder.path}/moved`);
  await Deno.writeTextFile(part, "of another one");
  outgoing.resume();
  assertEquals(await soon(receiving), "FAILED");
  assertEquals(await Deno.readTextFile(part), "of another one");
  assertEquals(namesIn(folder.path), [`.${offer.id}.part`, "moved"]);
});

for (const [what, change] of [["emptied", "truncate"], ["removed", "remove"]] as const) {
  Deno.test(`a file whose part is ${what} while it is received is not received, and that is told soon`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startServer();
    await using alice = await TestAgent.start(server.address, sessions);
    await using bob = await TestAgent.start(server.address, sessions);
    await connectForStreams(server, alice, bob);
    const size = 8_000_000, outgoing = await alice.agent.sendFile("b", new Blob([someBytes(size)]));
    const offer = await nextOffer(bob);
    const receiving = codeOf(bob.agent.receiveFile(offer, `${folder.path}/to`));
    await until(() => offer.progress.bytes > 0);
    outgoing.pause();
    await Deno[change](`${folder.path}/.${offer.id}.part`);
    outgoing.resume();
    assertEquals([await soon(receiving), namesIn(folder.path)], ["FAILED", []]);
    assert(offer.progress.bytes < size, `${offer.progress.bytes} bytes came`);
    assertEquals(await soon(codeOf(outgoing.ended)), "FAILED");
  });
}

Deno.test("only the file that was made is removed, where it was made", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/in/.id.part`, other = `${folder.path}/other`;
  await Deno.mkdir(`${folder.path}/in`);
  const handle = await open(path, "w");
  const part = await partAt(path, handle);
  await handle.close();
  await Deno.rename(`${folder.path}/in`, `${folder.path}/moved`);
  await removePart(part);
  await Deno.mkdir(`${folder.path}/in`);
  await Deno.writeTextFile(path, "of another program");
  await removePart(part);
  assertEquals([await Deno.readTextFile(path), namesIn(`${folder.path}/moved`)], ["of another program", [
    ".id.part",
  ]]);
  await Deno.remove(path);
  await Deno.rename(`${folder.path}/moved/.id.part`, other);
  await Deno.symlink(other, path);
  await removePart(part);
  assertEquals([namesIn(`${folder.path}/in`), namesIn(folder.path)], [[".id.part"], [
    "in",
    "moved",
    "other",
  ]]);
  await Deno.remove(path);
  await Deno.rename(other, path);
  await removePart(part);
  assertEquals(namesIn(`${folder.path}/in`), []);
});
