import { assertEquals, assertStringIncludes } from "@std/assert";
import { link, open, rename, unlink } from "node:fs/promises";
import { giveName, type NameFiles } from "../../../agent/stream/final_name.ts";
import { requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { nextOffer, streamPair } from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

const unixTest = requiring(Deno.build.os === "windows" ? "there are no named pipes" : null);

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

const withLinks: NameFiles = { link, open, rename, unlink };
const withoutLinks: NameFiles = {
  ...withLinks,
  link: () => Promise.reject(Object.assign(new Error("not here"), { code: "EPERM" })),
};

for (const [system, files] of [["with", withLinks], ["without", withoutLinks]] as const) {
  Deno.test(`of many files that get one name at once, ${system} hard links, each has one of its own`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    const nameOf = (attempt: number) => `${path}/cat${attempt === 1 ? "" : ` (${attempt})`}`;
    await Deno.writeTextFile(nameOf(2), "mine");
    await Deno.mkdir(nameOf(4));
    const all = Array.from({ length: 12 }, (_, i) => `${i}`);
    for (const text of all) await Deno.writeTextFile(`${path}/${text}.part`, text);
    const numbers = await Promise.all(all.map((text) => giveName(`${path}/${text}.part`, nameOf, { files })));
    const texts = await Promise.all(numbers.map((number) => Deno.readTextFile(nameOf(number))));
    assertEquals(texts, all);
    assertEquals(numbers.toSorted((a, b) => a - b), [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    assertEquals(await Deno.readTextFile(nameOf(2)), "mine");
    assertEquals(namesIn(path).length, 14);
    await Deno.writeTextFile(`${path}/last.part`, "last");
    const only = giveName(`${path}/last.part`, nameOf, { files, isOnly: true });
    assertEquals(await only.catch((error) => error.code), "EEXIST");
    assertEquals(await Deno.readTextFile(`${path}/last.part`), "last");
  });
}

Deno.test("of two files of one name that come at once the later one gets another name", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  const to = `${folder.path}/cat`;
  const otherPath = (attempt: number) => `${to} (${attempt})`;
  const begun: { readonly write: (text: string) => Promise<void>; readonly work: Promise<unknown> }[] = [];
  for (let i = 0; i < 2; i++) {
    const outgoing = await alice.agent.offerStream("b");
    const work = bob.agent.receiveFile(await nextOffer(bob), to, { otherPath }).then(({ path }) => path);
    const writer = (await soon(outgoing.accepted)).getWriter();
    begun.push({
      write: async (text) => {
        await writer.write(new TextEncoder().encode(text));
        await writer.close();
      },
      work,
    });
  }
  // Both have begun with the same name.
  await soon(Promise.all(begun.map(({ write }, i) => write(`cat ${i}`))));
  const paths = await soon(Promise.all(begun.map(({ work }) => work)));
  assertEquals(paths.toSorted(), [to, `${to} (2)`]);
  const texts = await Promise.all(paths.map((path) => Deno.readTextFile(path as string)));
  assertEquals(texts, ["cat 0", "cat 1"]);
  assertEquals(namesIn(folder.path), ["cat", "cat (2)"]);
});

unixTest("what is no regular file is not received into, nor waited for", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  const outgoing = await alice.agent.sendFile("b", new Blob(["meow"]));
  outgoing.pause();
  const offer = await nextOffer(bob);
  const places = {
    "a named pipe": `${path}/pipe`,
    "a folder": `${path}/folder`,
    "a socket": `${path}/socket`,
    "a link to nothing": `${path}/link`,
    "a device": "/dev/null",
  };
  assertEquals((await new Deno.Command("mkfifo", { args: [places["a named pipe"]] }).output()).code, 0);
  await Deno.mkdir(places["a folder"]);
  using _socket = Deno.listen({ transport: "unix", path: places["a socket"] });
  await Deno.symlink(`${path}/missing`, places["a link to nothing"]);
  const before = namesIn(path);
  const refused = async () => {
    for (const [kind, place] of Object.entries(places)) {
      const error = await soon(bob.agent.receiveFile(offer, place).then(() => null, (error) => error));
      assertEquals(error.code, "FAILED");
      assertStringIncludes(error.message, `Cannot receive the file: ${place} is ${kind}`);
    }
  };
  await refused();
  assertEquals(offer.status, "offered");
  // One that goes on may be there already, and is looked at.
  const abort = new AbortController();
  const receiving = bob.agent.receiveFile(offer, `${path}/to`, { signal: abort.signal });
  await until(() => offer.status === "accepted");
  abort.abort();
  assertEquals(await soon(receiving.catch((error) => error.name)), "AbortError");
  await refused();
  outgoing.resume();
  assertEquals((await soon(bob.agent.receiveFile(offer, `${path}/to`))).path, `${path}/to`);
  await soon(outgoing.ended);
  assertEquals(namesIn(path), [...before, "to"].sort());
});
