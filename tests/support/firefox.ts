import { type Browser, firefox } from "playwright-core";
import { type Lack, lackOf } from "./requires.ts";
import { temporaryFolder } from "./server_process.ts";
import { patience } from "./wait.ts";

const program = "firefox-esr";

/** Why tests have to do without a Firefox. */
export const firefoxLack: Lack = lackOf(program, "--version");

/** A headless Firefox of the system, which Playwright drives by WebDriver BiDi. */
export async function launchFirefox(): Promise<AsyncDisposable & { readonly browser: Browser }> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await temporaryFolder());
  const relay = started.use(relayCommands());
  const executablePath = `${folder.path}/firefox`;
  // Playwright reads from what Firefox prints where it takes commands, and gets the relay's address there.
  const script = `#!/bin/sh
${program} "$@" 2>&1 | sed -u 's|listening on ws://127.0.0.1:|&${relay.port}/|' >&2
`;
  await Deno.writeTextFile(executablePath, script, { mode: 0o700 });
  const browser = await firefox.launch({ channel: "moz-firefox", executablePath, timeout: patience });
  started.defer(() => browser.close());
  const ended = started.move();
  return { browser, [Symbol.asyncDispose]: () => ended.disposeAsync() };
}

/** Goes between: what Playwright asks for in every context, and Firefox does not know, is taken for done. */
function relayCommands(): AsyncDisposable & { readonly port: number } {
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const server = Deno.serve(options, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    // ws://127.0.0.1:<port>/<port of Firefox>/session
    const [, port, path] = new URL(request.url).pathname.split("/");
    const firefox = new WebSocket(`ws://127.0.0.1:${port}/${path}`);
    const early: string[] = [];
    socket.onmessage = ({ data }) => {
      if (firefox.readyState === WebSocket.CONNECTING) early.push(data);
      else if (firefox.readyState === WebSocket.OPEN) firefox.send(data);
    };
    firefox.onopen = () => early.forEach((data) => firefox.send(data));
    firefox.onmessage = ({ data }) => socket.readyState === WebSocket.OPEN && socket.send(answered(data));
    socket.onclose = () => firefox.close();
    firefox.onclose = () => socket.close();
    return response;
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

function answered(data: string): string {
  const { id, error } = JSON.parse(data) as { readonly id?: number; readonly error?: string };
  return error === "unknown command" ? JSON.stringify({ type: "success", id, result: {} }) : data;
}
