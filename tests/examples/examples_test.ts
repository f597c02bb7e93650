import { assertEquals, assertStringIncludes } from "@std/assert";
import { textBytes } from "../../protocol/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { linesOf, readyKeys } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";
import { next, soon } from "../support/wait.ts";

/** Runs an example with the permissions that it says it needs; and gives its lines. */
function start(script: string, ...args: readonly string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", `--preload=${readyKeys}`, script, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  return {
    line: () => next(lines),
    status: child.status,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      while (!(await lines.next()).done);
    },
  };
}

Deno.test("examples/two_agents.ts: two agents talk", async () => {
  await using example = start("examples/two_agents.ts");
  const lines = [await example.line(), await example.line()];
  assertEquals(lines.toSorted(), ["alice received: hello from bob", "bob received: hello from alice"]);
  assertEquals((await soon(example.status)).code, 0);
});

Deno.test("examples/sessions.ts: a connection is upgraded, verified, and leaves a server", async () => {
  await using example = start("examples/sessions.ts");
  const lines = [];
  for (let i = 0; i < 4; i++) lines.push(await example.line());
  assertEquals(lines, [
    "the session with bob is active",
    "verified: true",
    "bob received: hello",
    "delivered: true",
  ]);
  assertEquals((await soon(example.status)).code, 0);
});

Deno.test("examples/sensor_feed.ts: what a sensor measures is read", async () => {
  await using server = await startServer();
  await using reader = start("examples/sensor_feed.ts", "read", server.address);
  await using _sensor = start("examples/sensor_feed.ts", "sense", server.address, await reader.line());
  for (const celsius of ["20.00", "20.50", "20.99"]) {
    assertEquals((await reader.line()).split(" ").slice(1), [celsius, "°C"]);
  }
});

Deno.test("examples/bot.ts: a bot answers, and invites the next guest", async () => {
  await using server = await startServer();
  await using bot = start("examples/bot.ts", server.address);
  await using agent = await TestAgent.start(server.address);
  for (const guest of ["one", "two"]) {
    await agent.agent.join(await bot.line(), { alias: guest });
    await agent.next("connected");
    await agent.send(guest, `echo hello ${guest}`);
    assertEquals(await agent.text(guest), `hello ${guest}`);
  }
  await agent.send("two", "dance");
  assertEquals(await agent.text("two"), "I know: time, echo TEXT");
});

Deno.test("examples/bot.ts: guests who cannot be answered do not end the bot", async () => {
  await using server = await startServer();
  await using bot = start("examples/bot.ts", server.address);
  await using agent = await TestAgent.start(server.address);
  // One that takes no answers, one whose answer is too long, one that is gone before its answer is read.
  await agent.agent.join(await bot.line(), { alias: "silent", reply: false });
  await agent.next("connected");
  await agent.send("silent", "time");
  for (const guest of ["noisy", "gone"]) {
    await agent.agent.join(await bot.line(), { alias: guest });
    await agent.next("connected");
  }
  await agent.agent.send("noisy", Uint8Array.of(...textBytes("echo "), ...Array(2000).fill(0xff)));
  await agent.send("gone", "time");
  await agent.agent.delete("gone");
  await agent.send("noisy", "echo still there?");
  assertEquals(await agent.text("noisy"), "still there?");
  await agent.agent.join(await bot.line(), { alias: "last" });
  await agent.next("connected");
  await agent.send("last", "echo hello");
  assertEquals(await agent.text("last"), "hello");
});

Deno.test("examples without arguments say how they are used, and in one line what goes wrong", async () => {
  const nowhere = `127.0.0.1:1#${"A".repeat(43)}=`;
  const cases = [
    ["hello.ts", [], 2, "usage: hello.ts ADDRESS"],
    ["hello.ts", ["a:x"], 2, "Cannot parse server address"],
    ["hello.ts", ["a", "b"], 2, "usage: "],
    ["hello.ts", ["--help"], 0, "usage: hello.ts ADDRESS"],
    ["hello.ts", ["--bogus"], 2, "usage: hello.ts ADDRESS"],
    ["hello.ts", [nowhere], 1, "Cannot connect to 127.0.0.1:1: "],
    ["bot.ts", [], 2, "usage: bot.ts ADDRESS"],
    ["bot.ts", [nowhere], 1, "127.0.0.1:1"],
    ["sensor_feed.ts", [], 2, "usage: sensor_feed.ts read ADDRESS"],
    ["sensor_feed.ts", ["sense", nowhere], 2, "usage: "],
    ["sensor_feed.ts", ["read", nowhere], 1, "Cannot connect to 127.0.0.1:1: "],
    ["sensor_feed.ts", ["sense", nowhere, "AAAA"], 1, "Cannot connect to 127.0.0.1:1: "],
  ] as const;
  await Promise.all(cases.map(async ([example, args, code, text]) => {
    const command = ["run", "--quiet", "--no-prompt", "--allow-net", `examples/${example}`, ...args];
    const outcome = await soon(
      new Deno.Command(Deno.execPath(), { args: command, env: { NO_COLOR: "1" } }).output(),
    );
    const stderr = new TextDecoder().decode(outcome.stderr);
    assertEquals([outcome.code, stderr.trimEnd().split("\n").length], [code, 1], stderr);
    assertStringIncludes(stderr, text);
  }));
});

Deno.test("examples/embedded_server_test.ts: a suite with a server in it passes", async () => {
  const { code, stdout } = await soon(
    new Deno.Command(Deno.execPath(), {
      args: ["test", "--quiet", "--no-check", "--allow-net=127.0.0.1", "examples/embedded_server_test.ts"],
    }).output(),
  );
  assertEquals(code, 0, new TextDecoder().decode(stdout));
});
