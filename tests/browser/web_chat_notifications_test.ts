import { assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { testsInChromium, withBrowser } from "../support/browser.ts";
import { choose, connectPages, hear, openChat, say } from "../support/chat_page.ts";
import { until } from "../support/wait.ts";
import { WebChat } from "../support/web_chat.ts";

const test = testsInChromium();

declare const ExtendableEvent: typeof Event;

/** Pages of a headless browser are always seen. */
function setSeen(page: Page, state: DocumentVisibilityState): Promise<void> {
  return page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

/** Notifications that are shown. */
function shown(page: Page): Promise<(readonly [title: string, body: string])[]> {
  return page.evaluate(async () => {
    const notifications = await (await navigator.serviceWorker.ready).getNotifications();
    return notifications.map(({ title, body }) => [title, body] as const);
  });
}

async function want(page: Page, content: string): Promise<void> {
  await choose(page, "Notifications");
  await page.getByLabel("Tell of messages").selectOption(content);
  await page.getByRole("button", { name: "Save" }).click();
}

test("messages to a page that is not seen are notified of, without what is in them", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice, problems } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await connectPages(alice, bob);
    await alice.evaluate(() => {
      const request = Notification.requestPermission.bind(Notification);
      const counted = globalThis as unknown as { asked: number; badge: number };
      counted.asked = 0;
      Object.assign(navigator, {
        setAppBadge: (count: number) => (counted.badge = count, Promise.resolve()),
      });
      Notification.requestPermission = () => (counted.asked++, request());
    });
    const asked = () => alice.evaluate("asked");
    await setSeen(alice, "hidden");
    await say(bob, "before it was wanted");
    await hear(alice, "before it was wanted");
    assertEquals([await shown(alice), await asked()], [[], 0]);

    // A headless browser refuses unless it is told to grant.
    await want(alice, "Yes, but not from whom");
    await alice.getByText("The browser does not allow this page to notify you").waitFor();
    await alice.context().grantPermissions(["notifications"]);
    await alice.getByRole("button", { name: "Save" }).click();
    await alice.getByRole("dialog").waitFor({ state: "hidden" });
    assertEquals(await asked(), 2);
    await say(bob, "secret");
    await until(async () => (await shown(alice)).length > 0);
    assertEquals(await shown(alice), [["SimpleXMQ chat", "New message"]]);
    assertEquals([await alice.title(), await alice.evaluate("badge")], ["(2) SimpleXMQ chat", 2]);
    await setSeen(alice, "visible");
    await until(async () => (await shown(alice)).length === 0);
    await say(bob, "seen");
    await hear(alice, "seen");

    await want(alice, "Yes, with the name of the conversation");
    await setSeen(alice, "hidden");
    await say(bob, "secret, too");
    await until(async () => (await shown(alice)).length > 0);
    assertEquals(await shown(alice), [["Bob", "New message"]]);

    // A click on it opens the conversation, in the tab that has the chat.
    await alice.reload();
    await alice.getByText("Choose a conversation.").waitFor();
    const other = await alice.context().newPage();
    await other.goto(chat.url);
    await other.getByText("The chat is open in another tab.").waitFor();
    const [worker] = alice.context().serviceWorkers();
    await worker!.evaluate(async () => {
      const { registration } = globalThis as unknown as { registration: ServiceWorkerRegistration };
      const [notification] = await registration.getNotifications();
      dispatchEvent(Object.assign(new ExtendableEvent("notificationclick"), { notification }));
    });
    await hear(alice, "secret, too");
    assertEquals(problems, []);
  }));
