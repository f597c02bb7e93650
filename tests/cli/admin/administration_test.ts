import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { Administration, type AdministrationOptions } from "../../../cli/admin/administration.ts";
import { ask } from "../../../cli/admin/ask.ts";
import { PlaceTaken } from "../../../cli/admin/listen.ts";
import { readRequest } from "../../../cli/admin/messages.ts";
import { adminPlace } from "../../../server/admin/place.ts";
import type { ServerStatus } from "../../../server/admin/status.ts";
import { requiring } from "../../support/requires.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { soon, until } from "../../support/wait.ts";

const isWindows = Deno.build.os === "windows";
const socketTest = requiring(isWindows ? "there are no Unix sockets here" : null);
const status = { version: "1" } as ServerStatus;

async function administered(
  folder: string,
  { os = Deno.build.os, ...options }: Partial<AdministrationOptions> & {
    readonly os?: typeof Deno.build.os;
  } = {},
) {
  const place = adminPlace(folder, os);
  const done: string[] = [];
  const administration = await Administration.listen(place, { stop: () => done.push("stop"), ...options });
  const duties = {
    status: () => Promise.resolve(status),
    reload: () => Promise.resolve(["read"]),
    setLogLevel: (level: string) => void done.push(level),
  };
  return {
    place,
    done,
    duties,
    administration,
    [Symbol.asyncDispose]: () => administration[Symbol.asyncDispose](),
  };
}

/** What is answered to raw bytes until the server ends; `null`: it was cut off. */
async function answerTo(path: string, bytes: Uint8Array<ArrayBuffer> | string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  const given = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  await connection.write(given).catch(() => {});
  let text = "";
  try {
    for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  } catch {
    // It was reset.
  }
  return text;
}

for (const os of ["linux", "windows"] as const) {
  (os === "linux" ? socketTest : Deno.test)(
    `a server is asked over ${
      os === "linux" ? "a socket" : "a port with a token"
    }, and leaves nothing when it ends`,
    async () => {
      await using folder = await temporaryFolder();
      {
        await using server = await administered(folder.path, { os });
        const { place, done } = server;
        const asked = async (request: Parameters<typeof ask>[1]) => {
          using given = (await soon(ask(place, request)))!;
          return given.reply;
        };
        assertEquals(await asked({ type: "status" }), { ok: false, error: "it is starting" });
        server.administration.serve(server.duties);
        assertEquals(await asked({ type: "status" }), { ok: true, status });
        assertEquals(await asked({ type: "reload" }), { ok: true, lines: ["read"] });
        assert((await asked({ type: "log-level", level: "debug" })).ok);
        assertEquals(done, ["debug"]);
        if (!isWindows) assertEquals((await Deno.lstat(place.path)).mode! & 0o777, 0o600);
        assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), [
          place.path.split("/").at(-1),
        ]);
      }
      assertEquals([...Deno.readDirSync(folder.path)], []);
      assertEquals(await ask(adminPlace(folder.path, os), { type: "status" }), null);
    },
  );
}

Deno.test("a duty that fails is told, and the next one is done", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path);
  server.administration.serve({ ...server.duties, reload: () => Promise.reject(new Error("line 3")) });
  using refused = (await ask(server.place, { type: "reload" }))!;
  assertEquals(refused.reply, { ok: false, error: "line 3" });
  using taken = (await ask(server.place, { type: "status" }))!;
  assertEquals(taken.reply, { ok: true, status });
});

Deno.test("whoever asks for the end is answered at once, and learns when the server has ended", async () => {
  await using folder = await temporaryFolder();
  const server = await administered(folder.path);
  using asked = (await ask(server.place, { type: "stop" }))!;
  assertEquals(asked.reply, { ok: true, lines: ["stopping"] });
  await until(() => server.done.length > 0);
  assertEquals(server.done, ["stop"]);
  let isEnded = false;
  const ended = asked.ended().then(() => isEnded = true);
  assertEquals(isEnded, false);
  await server[Symbol.asyncDispose]();
  assert(await soon(ended));
});

Deno.test("a second server on a place is refused; what a killed one left is taken over", async () => {
  await using folder = await temporaryFolder();
  for (const os of isWindows ? ["windows"] as const : ["linux", "windows"] as const) {
    await using first = await administered(folder.path, { os });
    first.administration.serve(first.duties);
    await assertRejects(() => administered(folder.path, { os }), PlaceTaken);
    using asked = (await ask(first.place, { type: "status" }))!;
    assert(asked.reply.ok);
  }
  if (!isWindows) {
    const { path } = adminPlace(folder.path);
    Deno.listen({ transport: "unix", path }).close();
    await Deno.mkdir(`${path}.new`);
    await using _server = await administered(folder.path);
  }
  await using port = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const left = JSON.stringify({ port: port.addr.port, token: "0" });
  port.close();
  await Deno.writeTextFile(adminPlace(folder.path, "windows").path, left);
  await using _server = await administered(folder.path, { os: "windows" });
});

socketTest("what is no socket is not removed, and a path too long for one is told", async () => {
  await using folder = await temporaryFolder();
  const { path } = adminPlace(folder.path);
  await Deno.writeTextFile(path, "mine");
  await assertRejects(() => administered(folder.path), Error, "is no socket");
  assertEquals(await Deno.readTextFile(path), "mine");
  const long = `${folder.path}/${"x".repeat(100)}`;
  await Deno.mkdir(long);
  await assertRejects(() => administered(long), Error, "is too long for the path of a socket");
});

Deno.test("a request without the token, or with a wrong one, is refused", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path, { os: "windows" });
  server.administration.serve(server.duties);
  const file = JSON.parse(await Deno.readTextFile(server.place.path));
  assertMatch(file.token, /^[0-9a-f]{64}$/);
  for (const token of ["", "0".repeat(64), `${file.token}0`, 1, undefined]) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: file.port });
    await connection.write(new TextEncoder().encode(`${JSON.stringify({ type: "stop", token })}\n`));
    const buffer = new Uint8Array(1000);
    const count = await soon(connection.read(buffer));
    const text = new TextDecoder().decode(buffer.subarray(0, count ?? 0));
    assertStringIncludes(text, '{"ok":false,"error":');
  }
  assertEquals(server.done, []);
});

socketTest("whatever else is sent is refused or cut off, and nothing is done", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path);
  server.administration.serve(server.duties);
  const { path } = server.place;
  for (
    const line of [
      "",
      "{",
      "[]",
      "null",
      '{"type":"end"}',
      '{"type":["stop"]}',
      '{"__proto__":{"type":"stop"}}',
    ]
  ) {
    assertStringIncludes(
      await soon(answerTo(path, `${line}\n`)),
      '{"ok":false,"error":"it cannot read the request',
    );
  }
  assertStringIncludes(await answerTo(path, '{"type":"log-level","level":"loud"}\n'), "level is none of");
  assertEquals(await soon(answerTo(path, "x".repeat(5000))), "");
  assertStringIncludes(await soon(answerTo(path, new Uint8Array([0xff, 0xfe, 10]))), "cannot read");
  assertEquals(server.done, []);
});

/** Resolves when the server has closed the connection. */
async function closed(connection: Deno.Conn): Promise<void> {
  assertEquals(await soon(connection.read(new Uint8Array(1)).catch(() => null)), null);
}

socketTest("those who say nothing are cut off in time", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path, { requestTime: 100 });
  using silent = await Deno.connect({ transport: "unix", path: server.place.path });
  await closed(silent);
});

socketTest("more than a few connections at a time are not taken, until one of them ends", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path, { requestTime: 600_000 });
  server.administration.serve(server.duties);
  const silent: Deno.Conn[] = [];
  for (let i = 0; i < 8; i++) silent.push(await Deno.connect({ transport: "unix", path: server.place.path }));
  using further = await Deno.connect({ transport: "unix", path: server.place.path });
  await closed(further);
  silent.pop()!.close();
  await until(async () => {
    using asked = await ask(server.place, { type: "status" }).catch(() => null);
    return asked?.reply.ok === true;
  });
  for (const connection of silent) connection.close();
});

Deno.test("whoever asks without end is refused until the next second", async () => {
  await using folder = await temporaryFolder();
  let now = 0;
  await using server = await administered(folder.path, { now: () => now });
  server.administration.serve(server.duties);
  const isTaken = async () => {
    using asked = (await ask(server.place, { type: "status" }))!;
    return asked.reply.ok;
  };
  for (let i = 0; i < 50; i++) assertEquals(await isTaken(), true);
  assertEquals(await isTaken(), false);
  now = 1_000;
  assertEquals(await isTaken(), true);
});

Deno.test("a server that is asked and does not answer is given up", async () => {
  await using folder = await temporaryFolder();
  await using server = await administered(folder.path);
  server.administration.serve({ ...server.duties, status: () => new Promise(() => {}) });
  // Nothing of it may be left: the answer that never comes holds no connection.
  const asking = ask(server.place, { type: "status" }, { timeout: 100 });
  await assertRejects(() => asking, Error, "did not answer within 0.1 s");
  server.administration.serve(server.duties);
  using asked = (await ask(server.place, { type: "status" }))!;
  assert(asked.reply.ok);
});

Deno.test("requests are read strictly", { permissions: "none" }, () => {
  assertEquals(readRequest('{"type":"stop","more":1}'), { type: "stop" });
  assertEquals(readRequest('{"type":"log-level","level":"warn"}'), { type: "log-level", level: "warn" });
});
