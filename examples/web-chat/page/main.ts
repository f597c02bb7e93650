import type { PageConfig } from "../smp_server.ts";
import { App } from "./app.ts";
import { element } from "./dom.ts";
import { openStore } from "./start_view.ts";

/** Says why the page cannot be used. */
function fail(error: unknown): void {
  const failure = element("failure", HTMLElement);
  failure.textContent = error instanceof Error ? `${error.message}.` : String(error);
  failure.hidden = false;
}

async function start(): Promise<void> {
  if (!isSecureContext) {
    throw new Error("Browsers encrypt on https:// and on localhost alone: open the page there");
  }
  const config = await (await fetch("/config.json")).json() as PageConfig;
  await App.run(config, await openStore());
}

// A page that comes back out of the browser's cache has lost its connection and its claim to the database.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
start().catch(fail);
