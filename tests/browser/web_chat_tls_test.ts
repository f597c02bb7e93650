import { assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { chromiumLack, trusting, withBrowser } from "../support/browser.ts";
import { connectForFiles, hear, invite, openChat, say } from "../support/chat_page.ts";
import { requiring } from "../support/requires.ts";
import { WebChat } from "../support/web_chat.ts";

const test = requiring(chromiumLack);

/** Two sizes that many phones have. */
const phones = [{ width: 360, height: 740 }, { width: 412, height: 915 }] as const;

/** Nothing is wider than the screen, and every button can be reached, is not covered, and is large enough for a finger. */
async function fits(page: Page): Promise<void> {
  const { width, height } = page.viewportSize()!;
  const wrong = await page.evaluate(({ width, height }) => {
    const top = document.querySelector("dialog[open]") ?? document.body;
    const buttons = [...top.querySelectorAll("button")].filter((button) => button.checkVisibility());
    const wrong = buttons.flatMap((button) => {
      button.scrollIntoView({ block: "nearest" });
      const box = button.getBoundingClientRect();
      const isInside = box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height + 1;
      const isLarge = Math.min(box.width, box.height) >= 40;
      const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
      const isFine = isInside && isLarge && button.contains(at) || button.disabled;
      return isFine ? [] : [`${button.id} ${button.textContent}: ${JSON.stringify(box)}`];
    });
    const { scrollWidth } = document.documentElement;
    return scrollWidth === width && buttons.length > 0 ? wrong : [...wrong, `${scrollWidth} wide`];
  }, { width, height });
  assertEquals(wrong, []);
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
      await fits(page);
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
        await fits(page);
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
