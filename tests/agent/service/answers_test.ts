import { assertEquals, assertMatch } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { command, connectClients, FakeSocket, startService } from "../../support/agent_service.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { type Said, Telnet } from "../../support/telnet.ts";
import { soon, until } from "../../support/wait.ts";

const memory = () => ({ queues: new MemoryQueueStore(), messages: new MemoryMessageStore() });

Deno.test("SENT and ERR go to the session that has sent, subscribed or not", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  await using other = await Telnet.connect(service.port);
  assertEquals(await other.ask("5", "bob", "SEND :from another"), ["5", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /\nfrom another$/);
  // The one that the connection belongs to has been told nothing.
  assertEquals(await a.ask("6", "bob", "SEND :own"), ["6", "bob", "SENT 2"]);
  assertMatch(command(await b.said(), "", "alice"), /\nown$/);
  assertEquals(await b.ask("7", "alice", "OFF"), ["7", "alice", "OK"]);
  assertEquals(await other.ask("8", "bob", "SEND :x"), ["8", "bob", "ERR SMP AUTH"]);
  assertEquals(await a.ask("9", "bob", "SEND :x"), ["9", "bob", "ERR SMP AUTH"]);
});

Deno.test("when the session that has sent is gone, the one that the connection belongs to is told", async () => {
  const stores = { ...memory(), port: steadyPort() };
  const server = await startServer(stores);
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  await server.stop();
  assertEquals(await a.said(), ["", "bob", "END"]);
  assertEquals(await b.said(), ["", "alice", "END"]);
  const gone = new FakeSocket();
  const served = service.serve(gone);
  gone.type("5\nbob\nSEND :left behind\n6\n\nLIST\n");
  await gone.reads("DONE");
  gone.end();
  await soon(served);
  await using _again = await startServer(stores);
  assertEquals(await a.said(), ["", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /\nleft behind$/);
});

Deno.test("an answer that cannot be written is told to the owner", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  const asker = new FakeSocket();
  const served = service.serve(asker);
  await asker.reads("Welcome");
  asker.isHeld = true;
  asker.type("5\nbob\nSEND :x\n");
  await until(() => asker.pending.includes("SENT 1"));
  asker.close();
  await soon(served);
  assertEquals(await a.said(), ["", "bob", "SENT 1"]);
});

/** A way to a server that is closed until it is opened. */
function gate(server: SmpServer): { readonly port: number; open(): void } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const serve = async (near: Deno.TcpConn) => {
    await opened;
    const far = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await Promise.allSettled([near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)]);
  };
  const work: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) work.push(serve(connection));
  })();
  return {
    port: listener.addr.port,
    open,
    async [Symbol.asyncDispose]() {
      listener.close();
      await Promise.all([accepting, ...work]);
    },
  };
}

Deno.test("JOIN is answered in its session though another one has taken the connection", async () => {
  await using server = await startServer();
  await using own = await startServer();
  await using one = await startService(server);
  await using a = await Telnet.connect(one.port);
  await using way = gate(server);
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4)
    .replace(`:${server.port}#`, `:${way.port}#`);
  const unknown = invitation.replace(/::[A-Za-z0-9+/]{16}::/, "::AAAAAAAAAAAAAAAA::");
  await using two = await startService(own);
  await using asker = await Telnet.connect(two.port);
  await using owner = await Telnet.connect(two.port);
  for (const [corrId, alias, info] of [["2", "alice", invitation], ["3", "eve", unknown]] as const) {
    await asker.send(corrId, alias, `JOIN ${info}`);
    await until(() => two.isOwned(alias));
    assertEquals(await owner.ask("4", alias, "SUB"), ["4", alias, "OK"]);
    assertEquals(await asker.said(), ["", alias, "END"]);
  }
  way.open();
  const told: string[] = [];
  for (const client of [asker, asker, owner, owner]) told.push((await client.said())!.join("|"));
  assertEquals(told.slice(0, 2).toSorted(), ["3|eve|ERR SMP AUTH", "|alice|CON"]);
  assertEquals(told.slice(2).toSorted(), ["|alice|CON", "|eve|ERR SMP AUTH"]);
});

Deno.test("after a restart in the middle of JOIN a session subscribes, and CON comes to it", async () => {
  await using folder = await temporaryFolder();
  const stores = { ...memory(), port: steadyPort() };
  const server = await startServer(stores);
  await using one = await startService(server);
  await using own = await startServer();
  await using a = await Telnet.connect(one.port);
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4);
  await server.stop();
  const open = async () => ({ store: await SqliteStore.open(`${folder.path}/agent.db`) });
  {
    await using two = await startService(own, {}, await open());
    await using b = await Telnet.connect(two.port);
    await b.send("2", "alice", `JOIN ${invitation}`);
    await until(() => two.isOwned("alice"));
  }
  await using two = await startService(own, {}, await open());
  await using b = await Telnet.connect(two.port);
  assertEquals(await b.ask("3", "alice", "SUB"), ["3", "alice", "OK"]);
  await using all = await Telnet.connect(two.port);
  assertEquals(await all.ask("4", "x", "SUBALL"), ["4", "alice", "OK"]);
  assertEquals(await b.said(), ["", "alice", "END"]);
  await using _again = await startServer(stores);
  assertEquals(await all.said(), ["", "alice", "CON"]);
});

Deno.test("what nobody was told is told on SUB, in its order and once, also after a restart", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using one = await startService(server);
  await using a = await Telnet.connect(one.port);
  const open = async () => ({ store: await SqliteStore.open(`${folder.path}/agent.db`) });
  {
    await using two = await startService(server, {}, await open());
    const b = await Telnet.connect(two.port);
    await b.send("0", "", "LIST");
    await b.said();
    const invitation = command(await b.ask("1", "alice", "NEW"), "1", "alice").slice(4);
    await b[Symbol.asyncDispose]();
    await until(() => !two.isOwned("alice"));
    await a.send("2", "bob", `JOIN ${invitation}`);
    assertEquals(await a.said(), ["", "bob", "CON"]);
    assertEquals(await a.ask("3", "bob", "SEND :first"), ["3", "bob", "SENT 1"]);
    assertEquals(await a.ask("4", "bob", "SEND :second"), ["4", "bob", "SENT 2"]);
    assertEquals(await a.ask("5", "bob", "OFF"), ["5", "bob", "OK"]);
    // Refused, and its session gone.
    const c = await Telnet.connect(two.port);
    await until(() => server.gauges().messages === 2);
    await c.type("6\nalice\nSEND :x\n");
    await c[Symbol.asyncDispose]();
    await using list = await Telnet.connect(two.port);
    for (let connected = false; !connected;) {
      connected = (await list.ask("7", "", "LIST"))![2].includes("connected");
      await list.said();
    }
  }
  await using two = await startService(server, {}, await open());
  await using b = await Telnet.connect(two.port);
  assertEquals(await b.ask("8", "alice", "SUB"), ["8", "alice", "OK"]);
  const said: string[] = [];
  while (said.length < 4) said.push(command(await b.said(), "", "alice"));
  assertEquals(said.filter((line) => line === "ERR SMP AUTH").length, 1, said.join("\n"));
  assertEquals(
    said.filter((line) => line !== "ERR SMP AUTH").map((line) => line.split("\n").at(-1)),
    ["CON", "first", "second"],
  );
  await until(() => server.gauges().messages === 0);
  assertEquals(await b.ask("9", "alice", "SUB"), ["9", "alice", "OK"]);
  assertEquals(await b.ask("10", "alice", "SEND :x"), ["10", "alice", "ERR SMP AUTH"]);
});

Deno.test("nothing of a deleted connection reaches the next one of its name", async () => {
  const stores = { ...memory(), port: steadyPort() };
  const server = await startServer(stores);
  await using own = await startServer();
  await using one = await startService(server);
  await using two = await startService(own);
  await using a = await Telnet.connect(one.port);
  await using b = await Telnet.connect(two.port);
  await connectClients(a, b);
  // It cannot be sent, and whoever waits for it hears that it never will be.
  await server.stop();
  assertEquals(await a.said(), ["", "bob", "END"]);
  await using sender = await Telnet.connect(two.port);
  await sender.type("5\nalice\nSEND :old\n6\nx\nDEL\n");
  assertEquals(await sender.said(), ["6", "x", "ERR CONN UNKNOWN"]);
  await using deleter = await Telnet.connect(two.port);
  assertEquals(await deleter.ask("7", "alice", "DEL"), ["7", "alice", "OK"]);
  assertEquals(await sender.said(), ["5", "alice", "ERR CONN UNKNOWN"]);
  assertEquals(await b.said(), ["", "alice", "END"]);
  await using _again = await startServer(stores);
  await connectClients(sender, deleter, ["new", "alice"]);
  assertEquals(await sender.ask("8", "new", "SEND :of the new one"), ["8", "new", "SENT 1"]);
  assertMatch(command(await deleter.said(), "", "alice"), /^MSG OK R=1,.*\nof the new one$/);
  // The former owner is not the owner of this one.
  assertEquals(await b.ask("9", "alice", "SUB"), ["9", "alice", "OK"]);
  assertEquals(await deleter.said(), ["", "alice", "END"]);
});

Deno.test("sessions that race for one name leave it in one piece", async () => {
  await using server = await startServer();
  await using one = await startService(server);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  await using b = await Telnet.connect(one.port);
  await using c = await Telnet.connect(two.port);
  for (let round = 0; round < 10; round++) {
    // Who is second to join is an error of the connection.
    let made = await c.ask("0", `${round}`, "NEW");
    while (made?.[0] === "") made = await c.said();
    const invitation = command(made, "0", `${round}`).slice(4);
    const texts = [`JOIN ${invitation}`, "SUB", "SEND :x", "DEL", "NEW", "SUB", "SEND :y", "DEL"];
    const both = [texts, texts.toReversed()].map((all, i) =>
      [a, b][i]!.type(all.map((line, j) => `${j}\nx\n${line}\n`).join("") + "end\n\nLIST\n")
    );
    await Promise.all(both);
    for (const client of [a, b]) {
      for (let said; (said = await client.said())![0] !== "end" || !said![2].startsWith("DONE"););
    }
    await a.ask("d", "x", "DEL");
  }
  await using last = await Telnet.connect(one.port);
  await last.send("l", "", "LIST");
  const list: Said[] = [];
  for (let said; (said = await last.said())![2].startsWith("CONNECTION");) list.push(said!);
  assertEquals(list.filter(([, alias]) => alias === "x").length <= 1, true);
  await using other = await Telnet.connect(two.port);
  await connectClients(last, other, ["bob", "alice"]);
});

Deno.test("bytes of every value come whole, however they are cut", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  const socket = new FakeSocket();
  const served = service.serve(socket);
  socket.type("1\nalice\nSUB\n");
  await socket.reads("1\r\nalice\r\nOK");
  const body = Uint8Array.from({ length: 512 }, (_, i) => i);
  const head = new TextEncoder().encode("2\r\nbob\r\nSEND 512\r\n");
  const sender = await Deno.connect({ hostname: "127.0.0.1", port: service.port });
  sender.setNoDelay();
  for (const byte of [...head, ...body, 0x0d, 0x0a]) await sender.write(Uint8Array.of(byte));
  const text = Array.from(body, (byte) => String.fromCharCode(byte)).join("");
  await socket.reads(` 512\n${text}\r\n`);
  sender.close();
  socket.end();
  await soon(served);
});
