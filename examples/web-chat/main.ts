/**
 * A chat for browsers, and the SMP server that it needs: `deno task web-chat`; `--help` lists what it takes.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { renderUnicodeCompact } from "uqr";
import { helpText, parseOptions } from "./options.ts";
import type { ChatOptions } from "./options.ts";
import { readPage } from "./page_files.ts";
import { ChatServer } from "./smp_server.ts";
import type { MadeCertificate } from "./certificate.ts";
import { certificateFor, fingerprintOf, networkAddress, tellEnd } from "./tls.ts";

async function serve(options: ChatOptions): Promise<void> {
  const { tls, directory } = options;
  const stopped = stopSignal();
  const publicHost = options.host === "0.0.0.0" ? networkAddress() ?? "127.0.0.1" : options.host;
  const certificate = tls ? await certificateFor(publicHost, directory) : null;
  const log = (message: string) => console.error(message);
  survive(log);
  using _notices = certificate === null ? null : tellEnd(certificate, log);
  await using server = await ChatServer.start(options, { publicHost, certificate, log });
  const { config } = server;
  const files = await readPage(config, { directory, authority: certificate?.authority ?? null });
  server.show(files);
  console.log(`SMP server for browsers: ${config.server}`);
  console.log(`SMP server for other programs: ${server.address}`);
  console.log(`WebSocket port: ${server.webSocketPort}`);
  console.log(`WebSockets: ${config.webSocketUrl}`);
  if (certificate !== null) explainCertificate(certificate, `https://${publicHost}:${server.pagePort}/`);
  else console.log(`open http://${options.host}:${server.pagePort}/ in two browsers`);
  await stopped;
  console.log("stopping");
}

/** What nothing catches is of one connection or one request: it must not end the chat of all others. */
function survive(log: (message: string) => void): void {
  const goOn = (event: Event, error: unknown) => {
    event.preventDefault();
    log(`Nothing has caught an error, the chat goes on: ${error}`);
  };
  addEventListener("error", (event) => goOn(event, event.error));
  addEventListener("unhandledrejection", (event) => goOn(event, event.reason));
}

/** What whoever opens a page needs to know of its certificate. */
function explainCertificate({ cert, authority }: MadeCertificate, url: string): void {
  console.log(`certificate: ${fingerprintOf(cert)}`);
  console.log(`its authority, ${url}authority.crt: ${fingerprintOf(authority)}`);
  console.log(renderUnicodeCompact(url));
  console.log(
    "Browsers warn of the certificate, which was made here: go on to the page (Advanced, Proceed or Accept).",
  );
  console.log("To have no warning, and the page as an app, trust its authority: docs/web-chat.md says how.");
  console.log(`open ${url} in two browsers, of phones in the same network too`);
}

/** Resolves at SIGINT or SIGTERM. A second one ends the program at once, but for the twin of Ctrl-C that npx passes on. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      Deno.removeSignalListener("SIGTERM", stop);
      Deno.unrefTimer(setTimeout(() => Deno.removeSignalListener("SIGINT", stop), 500));
      resolve();
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  });
}

/** What went wrong, and what can be done. */
function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.NotCapable || /Requires \w+ access/.test(message)) {
    return `${message}\nThe task allows 127.0.0.1, 0.0.0.0 and data/web-chat alone; docs/web-chat.md has the command for more.`;
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
