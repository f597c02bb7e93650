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

/** What a page does with notifications. */
interface Watched {
  /** Those that are being shown, and those that are, ever. */
  showing: number;
  shown: number;
  /** How often it has asked which are shown. */
  listed: number;
  /** The icon of the last one. */
  icon: string | undefined;
  /** What it waits for before it shows one. */
  before: Promise<void>;
}

/** Watches what a page does with notifications. */
function watch(page: Page): Promise<void> {
  return page.evaluate(() => {
    const watched = globalThis as unknown as Watched;
    Object.assign(watched, { showing: 0, shown: 0, listed: 0, before: Promise.resolve() });
    const registration = ServiceWorkerRegistration.prototype;
    const { showNotification, getNotifications } = registration;
    registration.showNotification = async function (...args) {
      watched.showing++;
      watched.icon = args[1]?.icon;
      await watched.before;
      await showNotification.apply(this, args);
      watched.showing--;
      watched.shown++;
    };
    registration.getNotifications = function (...args) {
      watched.listed++;
      return getNotifications.apply(this, args);
    };
  });
}

/** Waits until a page has shown so many: Chromium forgets one when it is asked for them while it shows it. */
function hasShown(page: Page, count: number): Promise<void> {
  return until(async () => await page.evaluate("shown") === count);
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
    await watch(alice);
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
    await hasShown(alice, 1);
    assertEquals(await shown(alice), [["SimpleXMQ chat", "New message"]]);
    assertEquals([await alice.title(), await alice.evaluate("badge")], ["(2) SimpleXMQ chat", 2]);
    // The worker has its icon: a network that hangs would keep it from being shown.
    assertEquals(await alice.evaluate("caches.match(icon).then((kept) => kept?.status)"), 200);
    await setSeen(alice, "visible");
    await until(async () => (await shown(alice)).length === 0);
    await say(bob, "seen");
    await hear(alice, "seen");

    // What is being shown when the page is seen again is closed, too.
    await setSeen(alice, "hidden");
    await alice.evaluate(() => {
      const watched = globalThis as unknown as Watched & { show: () => void };
      watched.before = new Promise((resolve) => watched.show = resolve);
      watched.listed = 0;
    });
    await say(bob, "half a secret");
    await until(async () => await alice.evaluate("showing") === 1);
    await setSeen(alice, "visible");
    assertEquals(await alice.evaluate("listed"), 0);
    await alice.evaluate("show()");
    await hasShown(alice, 2);
    await until(async () => (await shown(alice)).length === 0);

    await want(alice, "Yes, with the name of the conversation");
    await alice.getByRole("dialog").waitFor({ state: "hidden" });
    await setSeen(alice, "hidden");
    await say(bob, "secret, too");
    await hasShown(alice, 3);
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

    // A worker that is not active yet shows none; the page does then.
    await watch(alice);
    await setSeen(alice, "hidden");
    await alice.evaluate(() => {
      const replaced = globalThis as unknown as { before: Promise<void>; titles: string[] };
      replaced.before = Promise.reject(new TypeError("there is no active worker"));
      replaced.before.catch(() => {});
      replaced.titles = [];
      Object.assign(globalThis, {
        Notification: class {
          static readonly permission = "granted";
          constructor(title: string) {
            replaced.titles.push(title);
          }
        },
      });
    });
    await say(bob, "early");
    await until(async () => (await alice.evaluate<string[]>("titles")).length > 0);
    assertEquals(await alice.evaluate("titles"), ["Bob"]);
    assertEquals(problems, []);
  }));
