import { assert, assertEquals } from "@std/assert";
import { startServer } from "../support/server.ts";
import { linesOf, readyKeys, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);

/** Commands of the pages that are not run here, and why. */
const notRun: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/task test/, "this is it"],
  [/^git clone/, "this is a checkout"],
  [
    /^(useradd|install|cp|systemctl|journalctl|chown|scp|\(cd \/opt)/,
    "tests/project/deploy_test.ts has the unit",
  ],
  [/task deb$|^apt install/, "tests/project/debian_test.ts"],
  [/^docker/, "there is no container engine; tests/project/deploy_test.ts has the image's command"],
  [/^nats-server/, "tests/project/cluster_deploy_test.ts has NATS servers"],
  [/--cluster|cluster status/, "tests/server/cluster/operator_test.ts, and start_test.ts beside it"],
  [/^mkdir|data\/smp1/, "they are for nodes of a cluster"],
  [/^npm install/, "tests/interop/npm_package_test.ts"],
  [/^deno install/, "tests/project/install_test.ts"],
  [/\$SITE|^SITE=/, "tests/project/url_test.ts"],
  [/smp-server (export|import)/, "tests/server/commands/commands_test.ts"],
  [/\/etc\/opt\/simplex/, "tests/operator/migration_test.ts"],
  [/\/srv\/chat|--ws-url/, "tests/browser/web_chat_proxy_test.ts"],
  [/task admin top/, "tests/server/commands/administer_test.ts has a terminal"],
  [/task agent top/, "tests/agent/cli/administer_test.ts has a terminal"],
  [/task agent .*\||\| deno task agent/, "tests/agent/cli/talk_test.ts and stream_test.ts have pipes"],
];

interface Command {
  readonly page: string;
  readonly line: string;
}

async function readCommands(): Promise<Command[]> {
  const pages = ["README.md", "SECURITY.md", "CONTRIBUTING.md"];
  for await (const { name } of Deno.readDir(new URL("docs", root))) {
    if (name.endsWith(".md")) pages.push(`docs/${name}`);
  }
  const commands: Command[] = [];
  for (const page of pages) {
    const text = await Deno.readTextFile(new URL(page, root));
    for (const [, block] of text.matchAll(/^ *```sh\n(.*?)^ *```/gms)) {
      for (const given of block!.replaceAll("\\\n", " ").split("\n")) {
        const line = given.split(" #")[0]!.trim();
        if (line !== "" && !line.startsWith("#")) commands.push({ page, line });
      }
    }
  }
  return commands;
}

/** A checkout with files of its own, which are gone when it is disposed of. */
interface Checkout extends AsyncDisposable {
  readonly path: string;
}

/** Of the modules of a folder that is new, all would be compiled anew. */
let shared: { readonly folder: AsyncDisposable & { readonly path: string }; readonly names: Set<string> };

Deno.test.beforeAll(async () => {
  const folder = await temporaryFolder();
  for (const page of ["README.md", "docs/client.md"]) {
    const text = await Deno.readTextFile(new URL(page, root));
    for (const [, name, program] of text.matchAll(/\bas `(\w+\.ts)`:\s+```ts\n(.*?)```/gsi)) {
      await Deno.writeTextFile(`${folder.path}/${name}`, program!);
    }
  }
  for await (const { name } of Deno.readDir(root)) {
    if (!["data", ".git", "deno.json"].includes(name)) {
      await Deno.symlink(new URL(name, root), `${folder.path}/${name}`);
    }
  }
  const config = await Deno.readTextFile(new URL("deno.json", root));
  const ready = config.replaceAll(
    /deno run (?=.*\b(server|client|agent|examples)\/)/g,
    `deno run ${preload} `,
  );
  await Deno.writeTextFile(`${folder.path}/deno.json`, ready);
  shared = { folder, names: new Set(Array.from(Deno.readDirSync(folder.path), ({ name }) => name)) };
});

Deno.test.afterAll(async () => await shared.folder[Symbol.asyncDispose]());

/** Has programs take keys that were made once. */
const preload = `--preload=${readyKeys}`;

/** The checkout, with the pages' programs under the names that they say. */
function checkout(): Checkout {
  const { folder: { path }, names } = shared;
  return {
    path,
    async [Symbol.asyncDispose]() {
      for await (const { name } of Deno.readDir(path)) {
        if (!names.has(name)) await Deno.remove(`${path}/${name}`, { recursive: true });
      }
    },
  };
}

/** The words of a command line, with Deno where it says `deno` and values for variables. */
function wordsOf(line: string, variables: Readonly<Record<string, string>>): string[] {
  const found = line.replace("$(which deno)", Deno.execPath());
  const filled = found.replaceAll(/\$(\w+)|\bADDRESS\b/g, (word, name) => variables[name ?? word] ?? word);
  const words = [...filled.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const program = words[0] === "npx" ? words.slice(2) : words.slice(1);
  return [
    Deno.execPath(),
    ...program.flatMap((word, i) => i === 0 && word === "run" ? [word, preload] : [word]),
  ];
}

/** How the last line begins that a program prints when it is ready, by what its command line has. */
const ready: readonly (readonly [pattern: RegExp, until: string, more: readonly string[]])[] = [
  [/server\/main\.ts start|task start/, "try it", ["--host", "127.0.0.1", "--port", "0"]],
  [/agent\/main\.ts --/, "listening", ["--port", "0"]],
  [/task web-chat --tls/, "open https", ["--port", "0"]],
  [/task web-chat/, "open http", ["--port", "0", "--ws-port", "0"]],
];

const commands = (await readCommands()).filter(({ line }) => !notRun.some(([pattern]) => pattern.test(line)));

/** Commands that go on where those before have ended. */
const inTurn = /smp |client\/main|task agent |task admin /;

/** One command line each, with the pages that have it, with Deno by npx or without. */
const alone = Map.groupBy(
  commands.filter(({ line }) => !inTurn.test(line)),
  ({ line }) => line.replace(/^npx deno@\S+ /, "deno "),
);

for (const [line, found] of alone) {
  const pages = [...new Set(found.map(({ page }) => page))];
  Deno.test(`${pages.join(", ")}: ${line}`, async () => {
    await using folder = checkout();
    await using server = await startServer();
    const words = wordsOf(line, { ADDRESS: server.address }).map((word, i, all) =>
      // Ports that the tests of other programs may have.
      all[i - 1] === "--port" ? "0" : word
    );
    const program = ready.find(([pattern]) => pattern.test(line));
    if (program === undefined) {
      const [file, ...args] = words;
      const { code, stderr } = await soon(
        new Deno.Command(file!, { args, cwd: folder.path, stdin: "null", stdout: "piped" }).output(),
      );
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      return;
    }
    const [, until, more] = program;
    // Options may be given once.
    const command = words.concat(words.includes("--port") ? [] : more);
    const running = await ServerProcess.spawned({ command, until, cwd: folder.path });
    const { code } = await running.kill("SIGTERM");
    // A task that is told to end may say so itself.
    assert(code === 0 || line.includes("task") && code === 143, `${code}`);
  });
}

Deno.test("the commands of the smp tool in the pages, one after the other", async () => {
  await using folder = checkout();
  await using server = await startServer();
  const variables: Record<string, string> = { ADDRESS: server.address };
  const lines = commands.filter(({ line }) => /smp |client\/main/.test(line)).map(({ line }) => line);
  assert(lines.length >= 6);
  await using receiving = new AsyncDisposableStack();
  let received: AsyncIterator<string> | null = null;
  for (const line of lines) {
    const [file, ...args] = wordsOf(line, variables);
    if (line.includes("smp load")) args.push("--seconds", "1", "--rate", "100");
    // What started the tests may have set it.
    const env = { INIT_CWD: folder.path };
    const options = { args, cwd: folder.path, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
    if (line.includes("receive")) {
      const child = receiving.use(new Deno.Command(file!, { ...options, stderr: "null" }).spawn());
      received = linesOf(child.stdout);
      continue;
    }
    const { code, stdout, stderr } = await soon(new Deno.Command(file!, options).output());
    assertEquals(code, 0, `${line}: ${new TextDecoder().decode(stderr)}`);
    const last = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
    if (last.senderId !== undefined) variables.SENDER_ID = last.senderId;
    if (last.publicKey !== undefined) variables.PUBLIC_KEY = last.publicKey;
  }
  assertEquals(JSON.parse(await next(received!)).text, "hello");
  await received!.return?.();
});

Deno.test("the commands for a running server in the pages, one after the other", async () => {
  await using folder = checkout();
  const lines = commands.filter(({ line }) => line.includes("task admin ")).map(({ line }) => line);
  assert(lines.length >= 4);
  const start = [...wordsOf("deno task start", {}), "--host", "127.0.0.1", "--port", "0"];
  await using _server = await ServerProcess.spawned({ command: start, until: "try it", cwd: folder.path });
  for (const line of lines) {
    const [file, ...args] = wordsOf(line, {});
    const { code, stderr } = await soon(
      new Deno.Command(file!, { args, cwd: folder.path, stdin: "null", stdout: "piped" }).output(),
    );
    assertEquals(code, 0, `${line}: ${new TextDecoder().decode(stderr)}`);
  }
});

/** Commands for an agent that runs. */
const toRunningAgent = /task agent (status|reload|log-level|stop) /;

Deno.test("the commands for a running agent in the pages, one after the other", async () => {
  await using folder = checkout();
  const lines = commands.filter(({ line }) => toRunningAgent.test(line)).map(({ line }) => line);
  assert(lines.length >= 4);
  const env = { INIT_CWD: folder.path };
  const nobody = `127.0.0.1:1#${"A".repeat(43)}=`;
  const command = wordsOf(`deno task agent start --db data/agent.db --port 0 --server ${nobody}`, {});
  await using agent = await ServerProcess.spawned({ command, until: "listening", cwd: folder.path, env });
  for (const line of lines) {
    const [file, ...args] = wordsOf(line, {});
    const options = { args, cwd: folder.path, env, stdin: "null", stdout: "piped" } as const;
    const { code, stderr } = await soon(new Deno.Command(file!, options).output());
    assertEquals(code, 0, `${line}: ${new TextDecoder().decode(stderr)}`);
  }
  assertEquals((await agent.end()).code, 0);
});

Deno.test("the commands of the agent in the pages, one after the other", async () => {
  await using server = await startServer();
  const all = commands.filter(({ line }) => line.includes("task agent ") && !toRunningAgent.test(line));
  const pages = Map.groupBy(all, ({ page }) => page);
  assert(pages.get("docs/agent-command-line.md")!.length >= 8);
  for (const [page, commands] of pages) {
    await using folder = checkout();
    await Deno.writeTextFile(`${folder.path}/backup-passphrase`, "correct horse\n");
    await Deno.writeTextFile(`${folder.path}/holiday.jpg`, "not really");
    const variables: Record<string, string> = { ADDRESS: server.address };
    const waiting: ServerProcess[] = [];
    let sending: Promise<Deno.CommandOutput> | null = null;
    await using cleanup = new AsyncDisposableStack();
    for (const { line } of commands) {
      const words = wordsOf(line, variables);
      const env = { INIT_CWD: folder.path };
      if (words.includes("--wait")) {
        const inviting = await ServerProcess.spawned({
          command: words,
          env,
          cwd: folder.path,
          until: "smp::",
        });
        variables.INVITATION = inviting.printed.at(-1)!;
        waiting.push(cleanup.use(inviting));
        continue;
      }
      const [file, ...args] = words;
      const command = new Deno.Command(file!, {
        args,
        cwd: folder.path,
        env,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
      if (line.includes(" send-file ")) {
        // It ends when the next one has the file.
        sending = command.output();
        continue;
      }
      const { code, stdout, stderr } = await soon(command.output());
      assertEquals(code, 0, `${page}: ${line}: ${new TextDecoder().decode(stderr)}`);
      // It has ended by itself, as both sides are there.
      if (line.includes(" join ")) { for (const one of waiting) assertEquals((await one.end()).code, 0); }
      const text = new TextDecoder().decode(stdout);
      if (line.includes(" receive ")) assertEquals(text, "hello\n");
      if (line.includes(" receive-file ")) assertEquals(text, "downloads/holiday.jpg\n");
    }
    if (sending !== null) assertEquals((await soon(sending)).code, 0);
  }
});
