import type { PageConfig } from "../smp_server.ts";
import { App } from "./app.ts";
import { element, inside } from "./dom.ts";
import { Reserve } from "./reserve.ts";
import { keepShell } from "./shell.ts";
import { lostText, openStore } from "./start_view.ts";
import { Tabs } from "./tabs.ts";

/** Says why the page cannot be used. */
function fail(error: unknown): void {
  const failure = element("failure", HTMLElement);
  failure.textContent = error instanceof Error ? `${error.message}.` : String(error);
  failure.hidden = false;
  element("opening", HTMLElement).hidden = true;
}

async function start(): Promise<void> {
  if (!isSecureContext) {
    throw new Error("Browsers encrypt on https:// and on localhost alone: open the page there");
  }
  // In the version of this page.
  const { content } = inside(document.head, "meta[name=config]", HTMLMetaElement);
  const config = await (await fetch(content)).json() as PageConfig;
  const shell = keepShell();
  const tabs = new Tabs();
  const reserve = new Reserve((isUsed) => element("room", HTMLElement).hidden = !isUsed);
  // Until the store is closed by this page itself.
  for (let lost: string | null = null;;) {
    const store = await openStore(tabs, reserve, lost);
    // Before the agent is closed, which takes a moment: other tabs that are opened then need not ask for it.
    store.closed.then(() => tabs.hasChat = false);
    const error = await App.run(config, { store, shell, reserve });
    if (error === null) return;
    lost = lostText(error);
  }
}

// A page that comes back out of the browser's cache has lost its connection and its claim to the database.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
start().catch(fail);
