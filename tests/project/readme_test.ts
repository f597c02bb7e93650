import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openSsl } from "../support/openssl.ts";
import { readyKeys, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";

const root = new URL("../../", import.meta.url).pathname;

/** Runs a program against a server and gives what it prints. */
async function run(program: string, address: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--config", `${root}deno.json`, `--preload=${readyKeys}`, "--allow-net=127.0.0.1"],
      ...[program, address],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  return new TextDecoder().decode(stdout);
}

Deno.test("the README's programs send and receive a message", async () => {
  const readme = await Deno.readTextFile(`${root}README.md`);
  const programs = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
  const expected = ["hello\n", "hello alice OK\n"];
  assertEquals(programs.length, expected.length);
  const folder = await Deno.makeTempDir();
  try {
    await using server = await startServer();
    for (const [i, program] of programs.entries()) {
      await Deno.writeTextFile(`${folder}/program.ts`, program);
      assertEquals(await run(`${folder}/program.ts`, server.address), expected[i]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the README's programs say in one line that there is no server, or no address", async () => {
  const readme = await Deno.readTextFile(`${root}README.md`);
  await using folder = await temporaryFolder();
  const programs = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
  for (const program of programs) {
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    for (const args of [[`127.0.0.1:1#${"A".repeat(43)}=`], []]) {
      const options = [
        "run",
        "--quiet",
        "--no-check",
        "--config",
        `${root}deno.json`,
        "--allow-net=127.0.0.1",
      ];
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [...options, `${folder.path}/program.ts`, ...args],
        env: { NO_COLOR: "1" },
      }).output();
      const told = new TextDecoder().decode(stderr).trim();
      assertEquals([new TextDecoder().decode(stdout), told.split("\n").length], ["", 1], told);
      assert(!told.includes("Uncaught"), told);
    }
  }
});

Deno.test("the server prints what the README shows", async () => {
  const readme = await Deno.readTextFile(`${root}README.md`);
  const shown = /^```\n(transport key hash.*?)\n```/ms.exec(readme)![1]!;
  await using folder = await temporaryFolder();
  const { tasks } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const [, hint] = /--hint '([^']*)'/.exec(tasks.start.command)!;
  const args = ["-y", "--hint", hint!];
  await using server = await ServerProcess.start({ folder: folder.path, args, openSsl: openSsl !== null });
  const masked = (text: string) =>
    text.replaceAll(/[A-Za-z0-9+/]{43}=/g, "HASH").replaceAll(/(localhost|127\.0\.0\.1):\d+/g, "ADDRESS")
      .replaceAll(/port \d+/g, "port N").replaceAll(/ at [\d.:]+$/gm, " at HOST").replace(
        /^cryptography: .*$/m,
        "cryptography: …",
      );
  assertEquals(masked(server.printed.join("\n")), masked(shown));
});

Deno.test("the example of task try sends and receives a message", async () => {
  await using server = await startServer();
  assertStringIncludes(await run(`${root}examples/hello.ts`, server.address), "received: hello");
});

Deno.test("every task that the README names exists", async () => {
  const readme = await Deno.readTextFile(`${root}README.md`);
  const { tasks } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const named = [...readme.matchAll(/npx deno@2\.9\.6 task ([\w-]+)/g)].map((match) => match[1]!);
  assertEquals(named.filter((name) => !(name in tasks)), []);
  assertEquals(named.length > 1, true);
});
