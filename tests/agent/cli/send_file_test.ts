import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeBase64, equalBytes, sha256 } from "../../../protocol/mod.ts";
import type { StreamOffer } from "../../../agent/mod.ts";
import { AgentFolder } from "../../support/agent_command.ts";
import { steadyPort } from "../../support/ports.ts";
import { ServerProcess } from "../../support/server_process.ts";
import { nextOffer, someBytes } from "../../support/streams.ts";
import { endOf, joined, namesIn, pair, partIn, read } from "../../support/transfer.ts";
import { soon, until } from "../../support/wait.ts";

Deno.test("send-file sends a file by its name, and says with --json how far it is", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const bytes = someBytes(300_000), path = folder.file("cat\x1b.png");
  await Deno.writeFile(path, bytes);
  await using sending = folder.begin(["send-file", "b", path, "--db", db, "--json"]);
  const { id, ...offered } = JSON.parse(await sending.line());
  assertEquals(offered, { type: "offered", connection: "b", name: "cat\x1b.png", size: 300_000 });
  const offer = await nextOffer(peer);
  assertEquals([offer.id, offer.name, offer.size], [id, "cat\x1b.png", 300_000]);
  const parts = await read(offer.accept().getReader());
  assert(equalBytes(await joined(parts), bytes));
  const { code, stdout, stderr } = await sending.end();
  assertEquals([code, stderr], [0, ""]);
  assert(!stdout.includes("\x1b"));
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.pop(), { type: "sent", connection: "b", id, name: "cat\x1b.png", size: 300_000 });
  for (const { type } of lines) assertEquals(type, "progress");
  const missing = await folder.here(["send-file", "b", folder.file("none"), "--db", db]);
  assertEquals([missing.code, missing.stdout], [1, ""]);
});

Deno.test("receive-file puts files into a folder by names that are no paths, and overwrites nothing", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in");
  await Deno.mkdir(to);
  await Deno.writeTextFile(`${to}/evil.txt`, "mine");
  const name = "../../b/\x1b[2J\u202e/evil.txt";
  const bytes = someBytes(100_000);
  await peer.agent.sendFile("a", new Blob([bytes]), { name });
  await peer.agent.sendFile("a", new Blob([]), { name });
  const first = await folder.here(["receive-file", "b", "--to", to, "--db", db]);
  assertEquals([first.code, first.stdout], [0, `${to}/evil (2).txt\n`]);
  for (const control of "\x1b\u202e") assert(!first.stderr.includes(control), first.stderr);
  assert(equalBytes(await Deno.readFile(`${to}/evil (2).txt`), bytes));
  const second = await folder.here(["receive-file", "b", "--to", to, "--db", db, "--json"]);
  const lines = second.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  // How often that is told is a matter of time.
  const [receiving, received] = lines.filter(({ type }) => type !== "progress");
  const { id } = receiving, file = `${to}/evil (3).txt`;
  assertEquals(receiving, { type: "receiving", connection: "b", id, name, size: 0, file });
  const hash = encodeBase64(await sha256(new Uint8Array(0)));
  assertEquals(received, { ...receiving, type: "received", sha256: hash });
  assertEquals(namesIn(to), ["evil (2).txt", "evil (3).txt", "evil.txt"]);
  assertEquals(await Deno.readTextFile(`${to}/evil.txt`), "mine");
});

Deno.test("a file goes on where it was when receive-file was killed and is called again", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in"), bytes = someBytes(4_000_000);
  await Deno.mkdir(to);
  const outgoing = await peer.agent.sendFile("a", new Blob([bytes]), { name: "big" });
  const args = ["receive-file", "b", "--to", to, "--db", db];
  const killed = await folder.start(args);
  await until(() => partIn(to) > 0);
  outgoing.pause();
  killed.signal("SIGKILL");
  await killed.end();
  const part = partIn(to);
  assert(part > 0 && part < bytes.length, `${part}`);
  await Deno.writeTextFile(`${to}/big`, "another one");
  outgoing.resume();
  const { code, stderr } = await folder.here(args);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, 'going on with "big"');
  await soon(outgoing.ended);
  assertEquals(namesIn(to), ["big", "big (2)"]);
  assert(equalBytes(await Deno.readFile(`${to}/big (2)`), bytes));
});

for (const isLinked of [false, true]) {
  const both = isLinked ? " and the temporary one" : "";
  Deno.test(`a file that had its name${both} when receive-file was killed is not received again`, async () => {
    await using setting = await pair();
    const { folder, peer, db } = setting;
    const to = folder.file("in"), bytes = someBytes(1000);
    await Deno.mkdir(to);
    const outgoing = await peer.agent.offerStream("a", {
      size: 1000,
      name: "x",
      sha256: await sha256(bytes),
    });
    const args = ["receive-file", "b", "--to", to, "--db", db];
    const killed = await folder.start(args);
    await soon(outgoing.accepted);
    killed.signal("SIGKILL");
    await killed.end();
    for (const name of namesIn(to)) await Deno.remove(`${to}/${name}`);
    await Deno.writeFile(`${to}/x`, new Uint8Array(1000));
    await Deno.writeFile(`${to}/x (2)`, bytes);
    if (isLinked) await Deno.link(`${to}/x (2)`, `${to}/.${outgoing.id}.part`);
    const { code, stdout, stderr } = await folder.here(args);
    assertEquals([code, stdout], [0, `${to}/x (2)\n`], stderr);
    assertEquals(namesIn(to), ["x", "x (2)"]);
  });
}

Deno.test("a file goes on when send-file or the server was killed and is started again", async () => {
  const port = steadyPort();
  await using place = await AgentFolder.make();
  await place.write("smp-server.ini", "[STORE_LOG]\nenable: on\nmessages: journal\n");
  const start = () =>
    ServerProcess.startBare({
      folder: place.path,
      args: [
        "start",
        "-y",
        "--config-dir",
        place.path,
        "--log-dir",
        place.path,
        "--host",
        "127.0.0.1",
        "--port",
        `${port}`,
      ],
    });
  await using first = await start();
  await using setting = await pair(first.address);
  const { folder, peer, db } = setting;
  const bytes = someBytes(5_000_000), path = await folder.write("big", "");
  await Deno.writeFile(path, bytes);
  const args = ["send-file", "b", path, "--db", db];
  const killed = await folder.start(args);
  const offer = await nextOffer(peer);
  const reader = offer.accept().getReader();
  const parts = await read(reader, 100_000);
  killed.signal("SIGKILL");
  await killed.end();
  await using again = folder.begin(args);
  assertStringIncludes(await again.told(), 'going on with "big"');
  parts.push(...await read(reader, 2_000_000));
  await first.kill("SIGKILL");
  await using _second = await start();
  parts.push(...await read(reader));
  assertEquals((await again.end()).code, 0);
  assert(equalBytes(await joined(parts), bytes));
});

Deno.test("a file that has changed since it was offered is offered anew, and the other side is told", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("notes", "before");
  const args = ["send-file", "b", path, "--db", db];
  const made = await folder.here([...args, "--no-wait"]);
  assertEquals(made.code, 0, made.stderr);
  // The offer leaves with the next command, if it has not yet.
  await Deno.writeTextFile(path, "afterwards");
  await using sending = folder.begin(args);
  assertStringIncludes(await sending.told(), '"notes" has changed since it was offered');
  const isNew = ({ offer }: { readonly offer: StreamOffer }) => offer.size === "afterwards".length;
  const { offer } = await peer.next("stream offered", isNew);
  assertEquals(peer.agent.streams("a").length, 1);
  const text = new TextDecoder().decode(await joined(await read(offer.accept().getReader())));
  assertEquals([text, (await sending.end()).code], ["afterwards", 0]);
});

Deno.test("Ctrl-C cancels a file on either side, and the other one is told", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("big", "");
  await Deno.writeFile(path, someBytes(5_000_000));
  const sending = await folder.start(["send-file", "b", path, "--db", db]);
  const offer = await nextOffer(peer);
  await read(offer.accept().getReader(), 100_000);
  sending.signal("SIGINT");
  assertEquals(await endOf(offer), ["CANCELLED", "Cancelled by the user"]);
  const sent = await sending.end();
  assertEquals([sent.code, sent.stdout], [130, ""]);
  assertStringIncludes(sent.stderr, "interrupted; it was cancelled");
  const to = folder.file("in");
  await Deno.mkdir(to);
  const outgoing = await peer.agent.offerStream("a", { size: 1_000_000, name: "x" });
  await using receiving = folder.begin(["receive-file", "b", "--to", to, "--db", db]);
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  await until(() => partIn(to) > 0);
  receiving.interrupt();
  assertEquals(await endOf(outgoing), ["CANCELLED", "Cancelled by the user"]);
  const received = await receiving.end();
  assertEquals([received.code, received.stdout, namesIn(to)], [130, "", []]);
});

Deno.test("a file that had begun to come is not passed over when it is cancelled", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in");
  const outgoing = await peer.agent.offerStream("a", { size: 1_000_000, name: "x" });
  const args = ["receive-file", "b", "--to", to, "--db", db];
  const receiving = await folder.start(args);
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  await until(() => partIn(to) > 0);
  receiving.signal("SIGKILL");
  await receiving.end();
  await outgoing.cancel("another time");
  const { code, stderr } = await soon(folder.here(args));
  assertEquals(code, 1);
  assertStringIncludes(stderr, 'the other side has cancelled it: "another time"');
});

Deno.test("a file that is refused, or ends otherwise, fails with the words of the other side", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("x", "x");
  await using sending = folder.begin(["send-file", "b", path, "--db", db]);
  await (await nextOffer(peer)).refuse("no \x1b[2J");
  const { code, stderr } = await sending.end();
  assertEquals(code, 1);
  assertStringIncludes(stderr, 'the other side does not want it: "no \\x1b[2J"');
  // One that follows goes on with the next.
  const to = folder.file("in");
  await using following = folder.begin(["receive-file", "b", "--follow", "--to", to, "--db", db]);
  const outgoing = await peer.agent.offerStream("a", { size: 10, name: "y" });
  await soon(outgoing.accepted);
  await outgoing.cancel("changed my mind");
  for (let told = ""; !told.includes("did not come");) told = await following.told();
  // Also when the next one cannot be put there.
  await Deno.rename(to, `${to} moved`);
  const waiting = await peer.agent.sendFile("a", path, { name: "w" });
  for (let told = ""; !told.includes('"w" did not come: The file cannot be written: ENOENT');) {
    told = await following.told();
  }
  assertEquals(waiting.status, "offered");
  await Deno.mkdir(to);
  await peer.agent.sendFile("a", path, { name: "z" });
  assertEquals(await following.line(), `${to}/z`);
  following.interrupt();
  assertEquals((await following.end()).code, 0);
  assert(!namesIn(folder.path).includes("y"));
});

Deno.test("a name that another receive-file takes meanwhile is left to it", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in");
  await Deno.mkdir(to);
  const outgoing = await peer.agent.sendFile("a", new Blob(["mine"]), { name: "cat.txt" });
  outgoing.pause();
  await using receiving = folder.begin(["receive-file", "b", "--to", to, "--db", db, "--json"]);
  assertEquals(JSON.parse(await receiving.line()).file, `${to}/cat.txt`);
  await Deno.writeTextFile(`${to}/cat.txt`, "theirs");
  outgoing.resume();
  const { code, stdout, stderr } = await receiving.end();
  assertEquals(code, 0, stderr);
  const { file } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  assertEquals(file, `${to}/cat (2).txt`);
  assertEquals([await Deno.readTextFile(file), namesIn(to)], ["mine", ["cat (2).txt", "cat.txt"]]);
  assertEquals(await Deno.readTextFile(`${to}/cat.txt`), "theirs");
});
