import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { patience } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);

/** Runs a task of the project to its end. */
async function task(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    // A task is told to end, and tells its program.
    signal: AbortSignal.timeout(patience),
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

for (
  const [name, words] of [
    ["bench", ["cycle", "crypto"]],
    ["soak", ["--minutes"]],
    ["fuzz", ["--save"]],
    ["faults", ["--target", "--kills"]],
  ] as const
) {
  Deno.test(`task ${name} --help says what there is and does nothing`, async () => {
    for (const option of ["--help", "-h"]) {
      const { code, stdout, stderr } = await task(name, option);
      assertEquals([code, stderr], [0, ""]);
      for (const word of [`deno task ${name} [`, ...words]) assertStringIncludes(stdout, word);
    }
  });
}

Deno.test("tasks that make files, and the model, have a help too, and make nothing of what they do not know", async () => {
  const names = ["man", "deb", "npm", "model"];
  await Promise.all(names.map(async (name) => {
    const help = await task(name, "--help");
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, `deno task ${name} [`);
    const unknown = await task(name, "--bogus");
    assertEquals([unknown.code, unknown.stdout], [2, ""], unknown.stderr);
    assertEquals(unknown.stderr, "unknown option --bogus; --help lists what there is\n");
  }));
  for (const name of ["--help", "--bogus"]) await assertRejects(() => Deno.stat(new URL(name, root)));
});

Deno.test("task admin without a command says what there is, and starts nothing", async () => {
  const { code, stdout, stderr } = await task("admin");
  assertEquals([code, stdout], [2, ""]);
  for (const name of ["status", "top", "reload", "log-level LEVEL", "stop"]) {
    assertStringIncludes(stderr, `\n  ${name} `);
  }
});

Deno.test("tasks that take nothing have a help, and do nothing with what they do not know", async () => {
  await Promise.all([
    ...["recording", "screenshots"].map(async (name) => {
      const { code, stdout } = await task(name, "--help");
      assertEquals([code, stdout.split("\n")[0]], [0, `deno task ${name}`]);
    }),
    ...[["sbom", "--bogus"], ["test", "bogus"], ["test", "tests/cli/first_line_test.ts", "tests/bogus"]].map(
      async (args) => {
        const { code, stdout, stderr } = await task(...args);
        assertEquals([code, stdout], [2, ""], stderr);
        assertMatch(stderr, /^(unknown option --bogus|there are no tests in (tests\/)?bogus); --help/);
      },
    ),
  ]);
});

Deno.test("a filter that no test fits fails", async () => {
  const { code, stderr } = await task(
    "test",
    "tests/cli/first_line_test.ts",
    "--",
    "--filter",
    "bogus (skipped: x)",
  );
  assertEquals([code, stderr], [1, 'no test has "bogus (skipped: x)" in its name\n']);
});

Deno.test("task model runs with the permissions that it has", async () => {
  const { code, stdout, stderr } = await task("model", "--runs", "1", "--steps", "4");
  assertEquals([code, stderr], [0, ""], stdout);
  assertStringIncludes(stdout, "1 runs in ");
});

Deno.test("what is fuzzed leaves the corpus as it is, unless it is to be saved", async () => {
  const corpus = new URL("tests/fuzz/corpus/address.json", root);
  const before = await Deno.stat(corpus);
  const { code, stdout } = await task("fuzz", "--seconds", "0.01", "address");
  assertEquals(code, 0, stdout);
  assert(stdout.includes("address"));
  assertEquals((await Deno.stat(corpus)).mtime, before.mtime);
});

Deno.test("what the command line of task fuzz does not know ends with 2 and one line", async () => {
  for (const args of [["--bogus"], ["--seconds"], ["--seconds", "0"], ["--seed", "x"], ["no target"]]) {
    const { code, stderr } = await task("fuzz", ...args);
    assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
  }
});

Deno.test("no task that users call prints a long command before what it does", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const names = [
    "start",
    "start-workers",
    "admin",
    "try",
    "test",
    "web-chat",
    "terminal-chat",
    "agent",
    "smp",
  ];
  const long = names.filter((name) => tasks[name].command.length > 260);
  assertEquals(long, []);
});
