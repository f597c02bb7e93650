import { assertEquals, assertRejects } from "@std/assert";
import { administer } from "../../../server/commands/administer.ts";
import { Fatal } from "../../../server/commands/terminal.ts";
import type { AdminTask, CliOptions } from "../../../server/config/cli.ts";
import { requiring } from "../../support/requires.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";

const socketTest = requiring(Deno.build.os === "windows" ? "there are no Unix sockets here" : null);

/** What is printed when the server of a folder, whoever that is, answers `reply`. */
async function printedOf(task: AdminTask, reply: string): Promise<string> {
  await using folder = await temporaryFolder();
  using listener = Deno.listen({ transport: "unix", path: `${folder.path}/smp-server.sock` });
  const answering = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(1_024));
    await connection.write(new TextEncoder().encode(`${reply}\n`));
  })();
  const printed: string[] = [];
  const options = { configDir: folder.path } as CliOptions;
  const print = (line: string) => void printed.push(line);
  try {
    await soon(administer(options, task, { print, warn: print, ask: () => Promise.resolve(null) }));
  } finally {
    await answering;
  }
  return printed.join("\n");
}

const status = {
  version: "1\x1b[2J",
  pid: 1,
  uptime: 1,
  notReady: "no\x9b31m\u202e",
  address: "a",
  refused: { "\x1b]0;x\x07": 1 },
  gauges: {},
  totals: {},
};

socketTest("what a server answers commands no terminal", async () => {
  const lines = await printedOf({ type: "reload" }, '{"ok":true,"lines":["a\\u001b]0;x\\u0007b"]}');
  assertEquals(lines, "a\\x1b]0;x\\x07b");
  for (const isJson of [true, false]) {
    const text = await printedOf({ type: "status", isJson }, JSON.stringify({ ok: true, status }));
    assertEquals(/[^\n -~]/.exec(text), null);
    if (isJson) assertEquals(JSON.parse(text), status);
  }
  const error = '{"ok":false,"error":"\\u001b[2J"}';
  await assertRejects(() => printedOf({ type: "stop" }, error), Fatal, "refuses stop: \\x1b[2J");
});

socketTest("an answer that is none is told in words", async () => {
  for (
    const reply of [
      "5",
      "nonsense\x1b[2J",
      "{}",
      '{"ok":false}',
      '{"ok":true,"lines":5}',
      '{"ok":true,"lines":[5]}',
      '{"ok":true,"status":5}',
    ]
  ) {
    for (const task of [{ type: "status", isJson: false }, { type: "reload" }] as const) {
      const error = await assertRejects(() => printedOf(task, reply), Fatal);
      assertEquals(/[^ -~]/.exec(error.message), null, error.message);
    }
  }
  const status = { type: "status", isJson: false } as const;
  await assertRejects(
    () => printedOf(status, '{"ok":true,"status":{}}'),
    Fatal,
    "no status that can be read",
  );
});
