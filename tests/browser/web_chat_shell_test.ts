import { assert, assertEquals } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import { testsInChromium, withBrowser } from "../support/browser.ts";
import { connectPages, hear, openChat, say } from "../support/chat_page.ts";
import { until } from "../support/wait.ts";
import { steadyPorts, WebChat } from "../support/web_chat.ts";

const test = testsInChromium();

/** What the page keeps of itself besides its HTML, and nothing else. */
const pageFiles = [
  "app.webmanifest",
  "config.json",
  "icon-192.png",
  "icon-512.png",
  "icon.svg",
  "page.js",
  "style.css",
];

/** Makes the server another version of the page: its configuration is another one. */
const otherVersion = "--no-sessions";

/** Two pages that talk, the first of which is kept. */
async function startPages(browser: Browser, chat: WebChat): Promise<{ alice: Page; bob: Page }> {
  const { page: alice } = await openChat(browser, chat);
  const { page: bob } = await openChat(browser, chat);
  await connectPages(alice, bob);
  await say(bob, "before");
  await hear(alice, "before");
  await untilKept(alice, await servedVersion(chat));
  return { alice, bob };
}

/** Waits until a page keeps one version, and nothing of another one. */
async function untilKept(page: Page, version: string): Promise<void> {
  const expected = ["/", ...pageFiles.map((name) => `/${name}?v=${version}`)];
  await until(async () => (await keptFiles(page)).join() === expected.join());
}

/** Paths of everything in all caches of a page. */
function keptFiles(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(names.map(async (name) => await (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => url.slice(location.origin.length)).sort();
  });
}

/** The version that a server has. */
async function servedVersion(chat: WebChat): Promise<string> {
  return versionIn(await (await fetch(chat.url)).text());
}

/** The version that a page is of. */
async function versionOf(page: Page): Promise<string> {
  return versionIn(await page.content());
}

function versionIn(html: string): string {
  return /config\.json\?v=(\w+)/.exec(html)![1]!;
}

test("a page that is opened without its server comes alive with it, and keeps its new version then", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start(steadyPorts());
    const { alice, bob } = await startPages(browser, chat);
    const former = await servedVersion(chat);
    const restart = await chat.kill();
    await say(bob, "are you there?");
    await alice.reload();
    await alice.getByText("no connection to the server").waitFor();
    await alice.getByRole("button", { name: /^Bob/ }).click();
    await hear(alice, "before");
    await restart(otherVersion);
    await alice.getByText("connected to the server").waitFor();
    await hear(alice, "are you there?");
    await alice.locator("#notice").waitFor({ state: "hidden" });
    const version = await servedVersion(chat);
    assert(version !== former);
    await untilKept(alice, version);
    assertEquals(await versionOf(alice), former);

    // Online it is the new one at once.
    await alice.reload();
    await alice.getByText("connected to the server").waitFor();
    assertEquals(await versionOf(alice), version);
  }));

test("a page that stays open keeps the new version of its server when it is connected to that again", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start(steadyPorts());
    const { alice } = await startPages(browser, chat);
    const restart = await chat.kill();
    await alice.getByText("no connection to the server").waitFor();
    await restart(otherVersion);
    await untilKept(alice, await servedVersion(chat));
    // What it is made of it has loaded.
    await alice.getByText("connected to the server").waitFor();

    // It opens without its server as the new one.
    await chat.kill();
    await alice.reload();
    await alice.getByText("no connection to the server").waitFor();
  }));
