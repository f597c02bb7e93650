import { assert, assertEquals } from "@std/assert";
import { commands, help, overview } from "../../agent/cli/commands.ts";
import { helpText as clientHelp } from "../../client/cli/help.ts";
import config from "../../deno.json" with { type: "json" };
import { helpText as webChatHelp } from "../../examples/web-chat/options.ts";
import { helpText as serverHelp } from "../../server/config/cli.ts";
import { run } from "../support/server_process.ts";

const root = new URL("../../", import.meta.url);

interface Page {
  readonly path: string;
  readonly text: string;
}

async function readPages(): Promise<Page[]> {
  const paths = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "std/README.md"];
  for await (const { name } of Deno.readDir(new URL("docs", root))) {
    if (name.endsWith(".md")) paths.push(`docs/${name}`);
  }
  return await Promise.all(
    paths.map(async (path) => ({ path, text: await Deno.readTextFile(new URL(path, root)) })),
  );
}

const pages = await readPages();

/** The texts of a page's fenced blocks in one language. */
function blocks({ text }: Page, language: string): string[] {
  return [...text.matchAll(new RegExp(`^ *\`\`\`${language}\n(.*?)^ *\`\`\``, "gms"))].map((match) =>
    match[1]!
  );
}

/** What a heading is linked by. */
function slug(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-");
}

Deno.test("every link between the project's pages leads to something", async () => {
  const anchors = new Map(
    pages.map(({ path, text }) => [path, [...text.matchAll(/^#+ (.*)$/gm)].map((match) => slug(match[1]!))]),
  );
  for (const { path, text } of pages) {
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file, anchor] = target!.split("#");
      const linked = file === "" ? path : new URL(file!, new URL(path, "file:///")).pathname.slice(1);
      await Deno.stat(new URL(linked, root)).catch(() => assert(false, `${path}: there is no ${target}`));
      if (anchor !== undefined) {
        assert(anchors.get(linked)?.includes(anchor), `${path}: there is no ${target}`);
      }
    }
  }
});

Deno.test("every file and folder of the project that a page names exists", async () => {
  const folders = "agent|bench|cli|client|deploy|docs|examples|protocol|server|std|tests";
  let checked = 0;
  for (const { path, text } of pages) {
    for (const [, named] of text.matchAll(new RegExp("`((?:" + folders + ")/[\\w./-]+)`", "g"))) {
      checked++;
      await Deno.stat(new URL(named!, root)).catch(() => assert(false, `${path}: there is no ${named}`));
    }
  }
  assert(checked > 50, `${checked} were checked`);
});

Deno.test("every task that a page names exists", () => {
  for (const { path, text } of pages) {
    // As code, on one line: not the end of a sentence.
    for (const [, task] of text.matchAll(/deno(?:@2\.9\.6)?[ \n]task[ \n]([\w-]+)/g)) {
      assert(task! in config.tasks, `${path}: there is no task ${task}`);
    }
  }
});

Deno.test("every command line of the programs has options that the programs know", async () => {
  const tasks: Record<string, string> = {
    "admin": "server/main.ts",
    "agent": "agent/main.ts",
    "smp": "client/main.ts",
    "terminal-chat": "examples/terminal-chat/main.ts",
    "web-chat": "examples/web-chat/main.ts",
  };
  // What `--help` of each prints; each command of the agent has options of its own.
  const agentHelps = [...commands].map(([name, command]) => help(name, command));
  const { stdout: terminalHelp } = await run(["--help"], { script: "examples/terminal-chat/main.ts" });
  const helps = new Map([
    ["server/main.ts", serverHelp],
    ["agent/main.ts", [overview(), ...agentHelps].join("\n")],
    ["client/main.ts", clientHelp],
    ["examples/web-chat/main.ts", webChatHelp],
    ["examples/terminal-chat/main.ts", terminalHelp],
  ]);
  const scripts = [...helps.keys()];
  let checked = 0;
  for (const page of pages) {
    for (const block of blocks(page, "sh")) {
      for (const line of block.replaceAll("\\\n", " ").split("\n")) {
        const [command = ""] = line.split(/ #|&&|;/);
        const task = /deno(?:@2\.9\.6)? task ([\w-]+)/.exec(command)?.[1];
        const script = scripts.find((script) => command.includes(script)) ?? tasks[task ?? ""];
        if (script === undefined) continue;
        const given = command.slice(command.indexOf(task === undefined ? script : task));
        for (const [option] of given.matchAll(/(?<= )--?[a-z][\w-]*/g)) {
          checked++;
          const isKnown = new RegExp(`(^|[ [,])${option}\\b`, "m").test(helps.get(script)!);
          assert(isKnown, `${page.path}: ${script} has no ${option}: ${command}`);
        }
      }
    }
  }
  assert(checked > 20, `${checked} options were checked`);
});

Deno.test("the programs of the pages and the examples are valid", async () => {
  assert(pages.flatMap((page) => blocks(page, "ts")).length > 2);
  // Where they are: of what has not changed since the last time Deno knows it.
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--doc", "examples", ...pages.map(({ path }) => path)],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
});
