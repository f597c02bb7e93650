import { assert, assertEquals } from "@std/assert";
import { createHash, X509Certificate } from "node:crypto";
import type { Locator, Page } from "playwright-core";
import { chromiumLack, withBrowser } from "../support/browser.ts";
import { connectForFiles, hear, invite, openChat, say } from "../support/chat_page.ts";
import { requiring } from "../support/requires.ts";
import { WebChat } from "../support/web_chat.ts";

const test = requiring(chromiumLack);

/** Two sizes that many phones have. */
const phones = [{ width: 360, height: 740 }, { width: 412, height: 915 }] as const;

/** Nothing is wider than the screen, and every button can be reached, is not covered, and is large enough for a finger. */
async function fits(page: Page, within: Locator = page.locator("body")): Promise<void> {
  const { width, height } = page.viewportSize()!;
  assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
  for (const button of await within.getByRole("button").all()) {
    await button.scrollIntoViewIfNeeded();
    const name = await button.innerText();
    const box = (await button.boundingBox())!;
    assert(box.x >= 0 && box.x + box.width <= width && box.y >= 0 && box.y + box.height <= height + 1, name);
    assert(box.height >= 40 && box.width >= 40, `${name}: ${box.width}×${box.height}`);
    const isOnTop = await button.evaluate((button) => {
      const { x, y, width, height } = button.getBoundingClientRect();
      return button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
    });
    assert(isOnTop, `${name} is covered`);
  }
}

/** What makes Chromium trust a certificate, as phones do that trust its authority. */
async function trusting(path: string): Promise<string> {
  const { publicKey } = new X509Certificate(await Deno.readTextFile(path));
  const hash = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest(
    "base64",
  );
  return `--ignore-certificate-errors-spki-list=${hash}`;
}

test("two phones talk over https and wss, keep the page as an app, and everything fits on them", async () => {
  await using chat = await WebChat.start(["--tls", "--host", "127.0.0.1", "--port", "0"]);
  await withBrowser(async (browser) => {
    const open = (viewport: typeof phones[number]) =>
      openChat(browser, chat, { viewport, isMobile: true, hasTouch: true });
    const [alice, bob] = [await open(phones[0]), await open(phones[1])];
    for (const { page } of [alice, bob]) await fits(page);
    await invite(alice.page, "A name that is longer than a phone is wide");
    await fits(alice.page);
    await alice.page.getByRole("button", { name: "Back to conversations" }).click();
    await connectForFiles(alice.page, bob.page);
    for (const { page } of [alice, bob]) {
      await fits(page);
      await page.getByRole("button", { name: "Search", exact: true }).click();
      await fits(page);
      await page.getByRole("button", { name: "Close the search" }).click();
      await page.getByRole("button", { name: "Security" }).click();
      await fits(page, page.getByRole("dialog"));
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Back to conversations" }).click();
      await page.getByText("More", { exact: true }).click();
      await fits(page);
      for (
        const name of [
          "Notifications",
          "Servers",
          "Export a backup",
          "Import a backup",
          "Change the passphrase",
        ]
      ) {
        await page.getByRole("button", { name }).click();
        await fits(page, page.getByRole("dialog"));
        await page.getByRole("button", { name: "Cancel" }).click();
      }
    }
    await alice.page.getByRole("button", { name: /^Bob/ }).click();
    await bob.page.getByRole("button", { name: /^Alice/ }).click();
    await say(bob.page, "a".repeat(200));
    await hear(alice.page, "a".repeat(200));
    await fits(alice.page);
    const { origin, port } = new URL(chat.url);
    assertEquals([origin, chat.webSocketUrl], [`https://127.0.0.1:${port}`, `wss://127.0.0.1:${port}/`]);
    for (const { problems, origins } of [alice, bob]) assertEquals([problems, [...origins]], [[], [origin]]);

    // What browsers look at before they offer to install a page.
    await alice.page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    const session = await alice.page.context().newCDPSession(alice.page);
    const { errors, url } = await session.send("Page.getAppManifest");
    assertEquals([errors, url.startsWith(`${origin}/app.webmanifest`)], [[], true]);
    const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
    // Contexts of tests are private windows.
    assertEquals(installabilityErrors.map(({ errorId }) => errorId), ["in-incognito"]);
  }, await trusting(`${chat.folder}/tls/certificate.pem`));
});
