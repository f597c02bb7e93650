/**
 * A chat for browsers, and the SMP server that it needs: `deno task web-chat`; `--help` lists what it takes.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { helpText, parseOptions } from "./options.ts";
import type { ChatOptions } from "./options.ts";
import { readPage } from "./page_files.ts";
import { servePage } from "./page_server.ts";
import { ChatServer } from "./smp_server.ts";

async function serve(options: ChatOptions): Promise<void> {
  const { host, port, directory } = options;
  const stopped = stopSignal();
  await using server = await ChatServer.start(options, (message) => console.error(message));
  const { config } = server;
  await using page = servePage(await readPage(config, directory), { host, port });
  console.log(`SMP server for browsers: ${config.server}`);
  console.log(`SMP server for other programs: ${server.address}`);
  console.log(`WebSocket port: ${server.webSocketPort}`);
  console.log(`WebSockets: ${config.webSocketUrl}`);
  console.log(`open http://${host}:${page.port}/ in two browsers`);
  await stopped;
  console.log("stopping");
}

/** Resolves at SIGINT or SIGTERM; a second one ends the program at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ["SIGINT", "SIGTERM"] as const;
    const stop = () => {
      for (const signal of signals) Deno.removeSignalListener(signal, stop);
      resolve();
    };
    for (const signal of signals) Deno.addSignalListener(signal, stop);
  });
}

/** What went wrong, and what can be done. */
function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.NotCapable || /Requires \w+ access/.test(message)) {
    return `${message}\nThe task allows 127.0.0.1 and data/web-chat alone; docs/web-chat.md has the command for more.`;
  }
  if (/Cannot listen/.test(message)) {
    return `${message}\nChoose other ports with --port and --ws-port.`;
  }
  return message;
}

const command = parseOptions(Deno.args);
if (command.type === "help") console.log(helpText);
else if (command.type === "error") {
  console.error(`${command.message}; --help lists what there is`);
  Deno.exitCode = 2;
} else {
  try {
    await serve(command.options);
    console.log("stopped");
  } catch (error) {
    console.error(explain(error));
    Deno.exitCode = 1;
  }
}
