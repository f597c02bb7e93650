import { type Browser, firefox, type Page } from "playwright-core";
import { type Lack, lackOf } from "./requires.ts";
import { temporaryFolder } from "./server_process.ts";
import { patience, soon } from "./wait.ts";

const program = "firefox-esr";

/** Why tests have to do without a Firefox. */
export const firefoxLack: Lack = lackOf(program, "--version");

/** A file that was downloaded. */
export interface Downloaded {
  readonly path: string;
  /** What the browser calls it. */
  readonly name: string;
}

/** Where the relay of each Firefox tells what was downloaded, which Playwright does not. */
const relays = new WeakMap<Browser, EventTarget>();

/** The next file that a Firefox downloads; `null` in a page of another browser. */
export function nextDownload(page: Page): Promise<Downloaded> | null {
  const relay = relays.get(page.context().browser()!);
  if (relay === undefined) return null;
  const { promise, resolve } = Promise.withResolvers<Downloaded>();
  relay.addEventListener("download", (event) => resolve((event as CustomEvent<Downloaded>).detail), {
    once: true,
  });
  return soon(promise);
}

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
  relays.set(browser, relay.downloads);
  const ended = started.move();
  return { browser, [Symbol.asyncDispose]: () => ended.disposeAsync() };
}

/** Goes between: what Playwright asks for in every context, and Firefox does not know, is taken for done. */
function relayCommands(): AsyncDisposable & { readonly port: number; readonly downloads: EventTarget } {
  const downloads = new EventTarget();
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
    firefox.onmessage = ({ data }) => {
      const detail = downloadIn(data);
      if (detail !== null) downloads.dispatchEvent(new CustomEvent("download", { detail }));
      if (socket.readyState === WebSocket.OPEN) socket.send(answered(data));
    };
    socket.onclose = () => firefox.close();
    firefox.onclose = () => socket.close();
    return response;
  });
  return { port: server.addr.port, downloads, [Symbol.asyncDispose]: () => server.shutdown() };
}

function answered(data: string): string {
  const { id, error } = JSON.parse(data) as { readonly id?: number; readonly error?: string };
  return error === "unknown command" ? JSON.stringify({ type: "success", id, result: {} }) : data;
}

function downloadIn(data: string): Downloaded | null {
  if (!data.includes("browsingContext.downloadEnd")) return null;
  const { method, params } = JSON.parse(data) as {
    readonly method?: string;
    readonly params?: { readonly status: string; readonly filepath?: string | null };
  };
  const path = params?.filepath ?? null;
  if (method !== "browsingContext.downloadEnd" || params?.status !== "complete" || path === null) return null;
  return { path, name: path.slice(path.lastIndexOf("/") + 1) };
}
