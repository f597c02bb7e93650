import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { findInvitation, linkOf } from "../../examples/web-chat/page/invitation.ts";
import { formatQueueInfo, parseAddress, parseQueueInfo, SmpError } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { AgentPeer } from "../support/agent_peer.ts";
import { downloaded, openPage, testsInChromium, withBrowser } from "../support/browser.ts";
import {
  choose,
  connectPages,
  hear,
  invite,
  makeCheap,
  openChat,
  passphraseField,
  say,
  storedCount,
  textsIn,
} from "../support/chat_page.ts";
import { HostileAgent } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { patience, until } from "../support/wait.ts";
import { freePorts, steadyPorts, WebChat } from "../support/web_chat.ts";

const test = testsInChromium();

/** Sends what only a secured queue takes, as often as it is needed: the protocol has no other way to know. */
async function secured(send: () => Promise<void>): Promise<void> {
  const end = performance.now() + patience;
  let isTaken = false;
  while (!isTaken) {
    if (performance.now() > end) throw new Error("the queue was not secured");
    isTaken = await send().then(() => true, (error) => {
      if (error instanceof SmpError && error.code === "AUTH") return false;
      throw error;
    });
  }
}

test("two people talk in two browsers, over reloads", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const alice = await openChat(browser, chat, { makesKeys: true });
    const bob = await openChat(browser, chat);
    await connectPages(alice.page, bob.page);
    await say(alice.page, "hello Bob");
    await hear(bob.page, "hello Bob");
    await alice.page.locator("#log .delivery").getByText(/sent|delivered/).waitFor();
    // Markup is text.
    const markup = "<img src=x onerror=alert(1)> & <b>bold</b>";
    await say(bob.page, markup);
    await hear(alice.page, markup);
    assertEquals(await alice.page.locator("#log img, #log b").count(), 0);

    // What comes while a conversation is not open is counted; what comes while the page is gone waits.
    await alice.page.reload();
    await say(bob.page, "are you there?");
    await alice.page.getByRole("button", { name: /Bob.*1 new message/ }).click();
    await hear(alice.page, "are you there?");
    assertEquals(await textsIn(alice.page), ["hello Bob", markup, "are you there?"]);
    await bob.page.goto("about:blank");
    await say(alice.page, "I am");
    await alice.page.locator("#log .delivery").nth(3).getByText(/sent|delivered/).waitFor();
    await bob.page.goto(chat.url);
    await bob.page.getByRole("button", { name: /Alice.*1 new message/ }).click();
    await hear(bob.page, "I am");
    assertEquals(await textsIn(bob.page), ["hello Bob", markup, "are you there?", "I am"]);
    assertEquals(await bob.page.locator("#log .warning").count(), 0);

    // What was written stays with its conversation.
    await alice.page.getByRole("textbox", { name: "Message" }).fill("not sent yet");
    const { page: carol } = await openChat(browser, chat);
    await connectPages(carol, alice.page, ["Alice", "Carol"]);
    assertEquals(await alice.page.getByRole("textbox", { name: "Message" }).inputValue(), "");
    await say(carol, "hello from Carol");
    await hear(alice.page, "hello from Carol");
    await alice.page.getByRole("button", { name: /^Bob/ }).click();
    assertEquals(await alice.page.getByRole("textbox", { name: "Message" }).inputValue(), "not sent yet");
    await hear(alice.page, "are you there?");
    assertEquals(await textsIn(alice.page), await textsIn(bob.page));

    const origin = new URL(chat.url).origin;
    for (const { problems, origins } of [alice, bob]) assertEquals([problems, [...origins]], [[], [origin]]);
  }));

test("two people see what was delivered, compare their safety codes, and begin further conversations", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice, problems } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await joinInFirstTab(alice, bob);
    await seeDeliveredAndCompare(alice, bob);
    await deleteDrafts(alice, bob);
    assertEquals(problems, []);
  }));

/** An invitation that is opened in a second tab is joined in the first one. */
async function joinInFirstTab(alice: Page, bob: Page): Promise<void> {
  const link = await invite(alice, "Bob");
  const second = await bob.context().newPage();
  await second.goto(link);
  await second.getByText("The invitation was opened in the tab in which the chat is open").waitFor();
  await bob.getByRole("textbox", { name: "Name of the conversation" }).waitFor();
  // A link that comes while the dialog closes is filled in, too.
  await bob.evaluate((hash) => {
    document.querySelector<HTMLDialogElement>("#join-dialog")!.close();
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }, new URL(link).hash);
  await bob.getByRole("textbox", { name: "Name of the conversation" }).fill("Alice");
  assertEquals(await bob.getByLabel("Invitation that you were sent").inputValue() === "", false);
  await bob.getByRole("dialog").getByRole("button", { name: "Join" }).click();
  for (const page of [alice, bob]) {
    await page.locator("#chat-state").getByText("connected, end-to-end").waitFor();
  }
  await say(bob, "hello");
  await hear(alice, "hello");
}

/** What was delivered is seen, codes are compared, and what 0.3 could not send comes. */
async function seeDeliveredAndCompare(alice: Page, bob: Page): Promise<void> {
  await say(alice, "hello Bob");
  await hear(bob, "hello Bob");
  const delivery = alice.locator("#log .mine .delivery");
  await delivery.getByText("✓✓ delivered").waitFor();
  const codes: string[] = [];
  for (const page of [alice, bob]) {
    await page.getByRole("button", { name: "Security" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/forward secret since/).waitFor();
    assertEquals(await dialog.getByRole("img", { name: "The safety code as a QR code" }).count(), 1);
    codes.push(await dialog.locator("#safety-code").innerText());
  }
  assertEquals(codes[0], codes[1]);
  assert(/^\d{5}( \d{5}){11}$/.test(codes[0]!), codes[0]);
  await alice.getByLabel("It is the same on both sides").check();
  await alice.getByRole("button", { name: "Close" }).click();
  await alice.locator("#chat-state").getByText("verified").waitFor();

  // What would take a page long to lay out is shown in part, and is all there.
  const words = "many words ".repeat(10_000).trim();
  await bob.getByRole("button", { name: "Close" }).click();
  await say(bob, `e${"\u0301".repeat(40)}${words}`);
  const more = alice.getByRole("button", { name: "Show more" });
  await more.click();
  const shown = alice.locator("#log .theirs .text").last();
  const few = `e${"\u0301".repeat(30)}`;
  assertEquals(await shown.textContent(), few + words.slice(0, 68_000 - 41));
  await more.click();
  assertEquals([await shown.textContent(), await more.count()], [few + words, 0]);

  // All of it is stored.
  await alice.reload();
  await alice.getByRole("button", { name: /^Bob/ }).click();
  await delivery.getByText("✓✓ delivered").waitFor();
  await alice.locator("#chat-state").getByText("verified").waitFor();
  await alice.getByRole("button", { name: "Security" }).click();
  await alice.getByLabel("It is the same on both sides").uncheck();
  await alice.getByRole("button", { name: "Close" }).click();
  await alice.locator("#chat-state").getByText(/encrypted$/).waitFor();
}

/** A conversation has its own draft, also one with the name of another that was deleted. */
async function deleteDrafts(alice: Page, bob: Page): Promise<void> {
  const message = alice.getByRole("textbox", { name: "Message" });
  alice.on("dialog", (dialog) => void dialog.accept());
  for (const draft of ["for the first Dan alone", "for the second one"]) {
    await connectPages(alice, bob, ["Dan", `Alice, ${draft}`]);
    assertEquals(await message.inputValue(), "");
    await message.fill(draft);
    await alice.getByRole("button", { name: "Delete" }).click();
    await alice.getByText("Choose a conversation.").waitFor();
  }
}

test("with --no-sessions conversations are as in 0.3, and what was seen is not counted again", () =>
  withBrowser(async (browser) => {
    // What a session tells of itself is stored too, at any time.
    await using chat = await WebChat.start([...freePorts, "--no-sessions"]);
    const { page: alice, problems } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await connectPages(alice, bob);
    await talkWithoutSecrecy(alice, bob);
    await countUnseen(alice, bob);
    assertEquals(problems, []);
  }));

/** Conversations are as in 0.3. */
async function talkWithoutSecrecy(alice: Page, bob: Page): Promise<void> {
  await say(alice, "hello Bob");
  await hear(bob, "hello Bob");
  await alice.locator("#log .delivery").getByText("✓ sent", { exact: false }).waitFor();
  await alice.getByRole("button", { name: "Security" }).click();
  await alice.getByText("without forward secrecy").waitFor();
  assert(!await alice.locator("#safety").isVisible());
  await alice.getByRole("button", { name: "Close" }).click();
}

/** What was seen is not counted again after a reload, and what was not seen still is. */
async function countUnseen(alice: Page, bob: Page): Promise<void> {
  const titles: string[] = [];
  await alice.exposeFunction("titled", (title: string) => titles.push(title));
  await alice.addInitScript(() => {
    addEventListener("DOMContentLoaded", () => {
      const titled = () => (globalThis as unknown as { titled(title: string): void }).titled(document.title);
      new MutationObserver(titled).observe(document.querySelector("title")!, { childList: true });
    });
  });
  // Nothing that comes after an event is stored, and so not that it was taken.
  await alice.evaluate(() => {
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (...args) {
      if (this.name === "events") {
        const owner = this.transaction.db.transaction("owner", "readwrite").objectStore("owner");
        const busy = () => owner.get(0).onsuccess = busy;
        busy();
      }
      return put.apply(this, args);
    };
  });
  await say(bob, "seen");
  await hear(alice, "seen");
  await alice.reload();
  await say(bob, "not seen");
  const counted = alice.getByRole("button", { name: /Bob.*1 new message$/ });
  await counted.click();
  await hear(alice, "not seen");
  // It did not come while the conversation was open.
  assertEquals(await alice.locator("#announcement").textContent(), "");
  await alice.reload();
  await say(bob, "not seen yet");
  await counted.waitFor();
  await alice.reload();
  await counted.click();
  await hear(alice, "not seen yet");
  assertEquals(new Set(titles), new Set(["SimpleXMQ chat", "(1) SimpleXMQ chat"]));
}

test("what is not whole, and an invitation that was used, are told", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice } = await openChat(browser, chat);
    const invitation = parseQueueInfo(findInvitation(await invite(alice, "Mallory"))!);
    const server = { ...invitation.server, port: chat.smp.port };
    await using mallory = await HostileAgent.connect({ ...invitation, server });
    await mallory.key();
    await secured(() => mallory.hello());
    await mallory.text("one");
    await mallory.text("four", { id: 4 });
    const item = alice.getByRole("listitem").filter({ hasText: "four" });
    await item.getByText("2 messages before this one are missing.").waitFor();
    await hear(alice, "one");
    assertEquals(await alice.locator("#log .warning").count(), 1);
    await mallory.plaintext(textBytes("no message of an agent"));
    await alice.locator("#notice").getByText("could not be read; it was dropped").waitFor();

    // The warning is stored with the message.
    await alice.reload();
    await alice.getByRole("button", { name: /^Mallory/ }).click();
    await item.getByText("2 messages before this one are missing.").waitFor();
    await alice.locator("#notice").getByText("could not be read").waitFor();

    const { page: bob } = await openChat(browser, chat);
    await bob.goto(linkOf(chat.url, formatQueueInfo(invitation)));
    await bob.getByRole("textbox", { name: "Name of the conversation" }).fill("Alice");
    await bob.getByRole("dialog").getByRole("button", { name: "Join" }).click();
    const isUsed = async () => {
      await bob.locator("#notice").getByText("The invitation was used before").waitFor();
      await bob.locator("#chat-state").getByText("not connected").waitFor();
      assertEquals(await bob.getByRole("textbox", { name: "Message" }).count(), 0);
    };
    await isUsed();
    await bob.reload();
    await bob.getByRole("button", { name: /^Alice/ }).click();
    await isUsed();
  }));

test("one tab has the chat, another one can take it, and delete everything meanwhile", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice } = await openChat(browser, chat);
    const bob = await openChat(browser, chat, { passphrase: "correct horse" });
    const { page: first } = bob;
    await connectPages(alice, first);
    const second = await first.context().newPage();
    await second.goto(chat.url);
    await second.getByText("The chat is open in another tab.").waitFor();
    await second.getByRole("button", { name: "Use it here" }).click();
    // It has what the first one has, and needs the passphrase too.
    await passphraseField(second).fill("correct horse");
    await second.keyboard.press("Enter");
    await second.getByRole("button", { name: /^Alice/ }).click();
    await first.getByText("The chat was opened in another tab.").waitFor();
    assertEquals(await first.getByRole("textbox", { name: "Message" }).count(), 0);
    await say(alice, "to the second tab");
    await hear(second, "to the second tab");

    await first.getByRole("button", { name: "Use it here" }).click();
    await passphraseField(first).fill("correct horse");
    await first.keyboard.press("Enter");
    await first.getByRole("button", { name: /^Alice/ }).click();
    await second.getByText("The chat was opened in another tab.").waitFor();
    await hear(first, "to the second tab");
    await say(first, "from the first tab again");
    await hear(alice, "from the first tab again");
    await say(alice, "and back");
    await hear(first, "and back");
    assertEquals(bob.problems, []);

    // Both ask for the passphrase, then one of them has the chat; the other one deletes everything.
    second.on("dialog", (dialog) => void dialog.accept());
    await first.reload();
    await second.goto(chat.url);
    await second.getByText("Keys and messages in this browser are encrypted.").waitFor();
    await passphraseField(first).fill("correct horse");
    await first.keyboard.press("Enter");
    await first.getByRole("button", { name: /^Alice/ }).waitFor();
    await second.getByRole("button", { name: "Forget everything" }).click();
    await second.getByText("Passphrase (optional)").waitFor();
    await first.getByText("The chat was opened in another tab.").waitFor();
    assertEquals(await second.evaluate(() => localStorage.length), 0);
  }));

test("a backup moves the chat to another browser", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice } = await openChat(browser, chat);
    const { page: old } = await openChat(browser, chat);
    await connectPages(alice, old);
    await say(alice, "before the move");
    await hear(old, "before the move");
    await using server = await startServer();
    const { host, keyHash } = parseAddress(server.address);
    const chosen = `${host}:${server.webSocketPort}#${keyHash}`;
    await choose(old, "Servers");
    await old.getByLabel("Addresses of servers").fill(chosen);
    await old.getByRole("button", { name: "Save" }).click();
    await old.getByRole("dialog").waitFor({ state: "hidden" });
    await choose(old, "Export a backup");
    await old.getByRole("dialog").getByLabel("Passphrase of the file").fill("battery staple");
    const { path } = await downloaded(old, () =>
      old.getByRole("button", { name: "Export", exact: true }).click());
    await old.goto("about:blank");
    await say(alice, "during the move");

    const { page: moved, problems } = await openPage(browser);
    await makeCheap(moved);
    const read = async (passphrase: string) => {
      await moved.getByRole("dialog").getByLabel("File", { exact: true }).setInputFiles(path);
      await moved.getByRole("dialog").getByLabel("Passphrase of the file").fill(passphrase);
      await moved.getByRole("button", { name: "Import", exact: true }).click();
    };
    await moved.goto(chat.url);
    await passphraseField(moved).fill("correct horse");
    await moved.getByRole("button", { name: "Import a backup" }).click();
    await read("wrong");
    await moved.getByText("The passphrase is not that of the file.").waitFor();
    await read("battery staple");
    await moved.getByRole("button", { name: /^Alice/ }).click();
    await hear(moved, "before the move");
    await hear(moved, "during the move");
    await say(moved, "after the move");
    await hear(alice, "after the move");

    await choose(moved, "Servers");
    assertEquals(await moved.getByLabel("Addresses of servers").inputValue(), chosen);
    await moved.getByRole("button", { name: "Cancel" }).click();

    // Where there are conversations, none are read over them.
    await choose(moved, "Import a backup");
    await read("battery staple");
    await moved.getByText("There are conversations already").waitFor();
    await moved.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();

    // The passphrase of the first form, another one, and none.
    for (
      const [passphrase, next] of [["correct horse", "horse battery"], ["horse battery", ""], [
        "",
        null,
      ]] as const
    ) {
      await moved.reload();
      if (passphrase !== "") {
        await passphraseField(moved).fill(passphrase);
        await moved.keyboard.press("Enter");
      }
      await moved.getByRole("button", { name: /^Alice/ }).click();
      await hear(moved, "before the move");
      if (next === null) {
        break;
      }
      await choose(moved, "Change the passphrase");
      await moved.getByRole("dialog").getByLabel("New passphrase").fill(next);
      await moved.getByRole("button", { name: "Change", exact: true }).click();
      await moved.getByRole("dialog").waitFor({ state: "hidden" });
    }
    assertEquals(problems, []);

    // A page without conversations reads one too.
    const { page: empty } = await openChat(browser, chat);
    await moved.goto("about:blank");
    await choose(empty, "Import a backup");
    await empty.getByRole("dialog").getByLabel("File", { exact: true }).setInputFiles(path);
    await empty.getByRole("dialog").getByLabel("Passphrase of the file").fill("battery staple");
    await empty.getByRole("button", { name: "Import", exact: true }).click();
    await empty.getByRole("button", { name: /^Alice/ }).click();
    await hear(empty, "before the move");
  }));

test("messages go on in order over a server that is killed", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start(steadyPorts());
    const { page: alice } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await connectPages(alice, bob);
    await goOnInOrder(chat, alice, bob);
  }));

/** Messages go on in order after the server was killed; all are stored, and found. */
async function goOnInOrder(chat: WebChat, alice: Page, bob: Page): Promise<void> {
  const count = 200;
  const texts = Array.from({ length: count }, (_, i) => `message ${i + 1}`);
  for (const text of texts.slice(0, 5)) await say(alice, text);
  const restart = await chat.kill();
  for (const page of [alice, bob]) await page.getByText("no connection to the server").waitFor();
  await say(bob, "written without a server");
  await bob.locator("#log .mine .delivery").getByText("queued").waitFor();
  await restart();
  // Faster than anybody types.
  await alice.evaluate((texts) => {
    const form = document.querySelector("form#composer") as HTMLFormElement;
    for (const text of texts) {
      form.querySelector("textarea")!.value = text;
      form.requestSubmit();
    }
  }, texts.slice(5));
  await hear(alice, "written without a server");
  await hear(bob, texts.at(-1)!);
  assertEquals(await bob.locator("#log .theirs .text").allTextContents(), texts);
  assertEquals(await bob.locator("#log .warning").count(), 0);
  await bob.locator("#log .mine .delivery").getByText(/sent|delivered/).waitFor();
  for (const page of [alice, bob]) await page.getByText("connected to the server").waitFor();

  // All of them are in the store, and shown a hundred at a time.
  await bob.reload();
  await bob.getByRole("button", { name: "Alice" }).click();
  await hear(bob, texts.at(-1)!);
  assertEquals((await textsIn(bob)).length, 100);
  await bob.getByRole("button", { name: "Show earlier messages" }).click();
  await hear(bob, texts[60]!);
  await bob.getByRole("button", { name: "Show earlier messages" }).click();
  await hear(bob, texts[0]!);
  assertEquals(await bob.locator("#log .theirs .text").allTextContents(), texts);

  // A search finds what is not shown, too, and shows it among what was around it.
  await bob.reload();
  await bob.getByRole("button", { name: "Alice" }).click();
  await hear(bob, texts.at(-1)!);
  await bob.getByRole("button", { name: "Search", exact: true }).click();
  const search = bob.getByRole("search");
  await search.getByLabel("Search in this conversation").fill("MESSAGE 1");
  await bob.keyboard.press("Enter");
  const foundText = bob.locator("#log .found .text");
  await search.getByText("1 of 111").waitFor();
  await foundText.getByText("message 199", { exact: true }).waitFor();
  // What takes longer to load, and is not wanted any more, is not shown in the place of what is.
  await bob.evaluate(() => {
    const click = (id: string) => document.querySelector<HTMLButtonElement>(`#${id}`)!.click();
    for (let i = 2; i <= 111; i++) click("search-older");
    click("search-newer");
  });
  await search.getByText("110 of 111").waitFor();
  await hear(bob, texts[0]!);
  await foundText.getByText("message 10", { exact: true }).waitFor();
  await search.getByLabel("Search in this conversation").fill("message 7 ");
  await bob.keyboard.press("Enter");
  await search.getByText("1 of 11").waitFor();
  const older = search.getByRole("button", { name: "Older message" });
  for (let i = 2; i <= 11; i++) await older.click();
  await search.getByText("11 of 11").waitFor();
  assert(await older.isDisabled());
  await foundText.getByText("message 7", { exact: true }).waitFor();
  assert((await textsIn(bob)).length > 100);
  await search.getByRole("button", { name: "Newer message" }).click();
  await foundText.getByText("message 70", { exact: true }).waitFor();
  await search.getByLabel("Search in this conversation").fill("nobody wrote this");
  await bob.keyboard.press("Enter");
  await search.getByText("Nothing found").waitFor();
  await search.getByRole("button", { name: "Close the search" }).click();
  await search.waitFor({ state: "hidden" });
}

test("a conversation that is deleted while its server does not answer is gone, and closes no other one", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page, problems } = await openChat(browser, chat);
    for (const name of ["Carol", "Bob"]) await invite(page, name);
    page.on("dialog", (dialog) => void dialog.accept());
    await page.evaluate(() => {
      const { send } = WebSocket.prototype;
      const held: (() => void)[] = [];
      WebSocket.prototype.send = function (data) {
        held.push(() => send.call(this, data));
      };
      const answer = () => {
        WebSocket.prototype.send = send;
        for (const one of held) one();
      };
      Object.assign(globalThis, { answer });
    });
    const remove = page.getByRole("button", { name: "Delete", exact: true });
    await remove.click();
    await until(async () => await storedCount(page, "connections") === 1);
    await remove.click();
    const list = page.locator("#list button");
    const refused = page.getByText("It was not deleted");
    await until(async () => await list.count() === 1 || await refused.count() > 0);
    assertEquals([await list.count(), await refused.count()], [1, 0]);
    await list.click();
    await page.getByRole("heading", { name: "Carol", exact: true }).waitFor();
    await page.evaluate("answer()");
    await until(async () => await storedCount(page, "discarded_queues") === 0);
    await page.getByRole("heading", { name: "Carol", exact: true }).waitFor();
    assert(await page.locator("#chat-header").isVisible());
    assertEquals(await list.count(), 1);
    assertEquals(problems, []);
  }));

test("with a passphrase the page asks for it, and can forget everything", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page, problems } = await openChat(browser, chat, { passphrase: "correct horse" });
    await invite(page, "Bob");
    await page.reload();
    await passphraseField(page).fill("wrong horse");
    await page.keyboard.press("Enter");
    await page.getByText("The passphrase is wrong.").waitFor();
    await passphraseField(page).fill("correct horse");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Bob waiting for somebody to join" }).waitFor();

    page.on("dialog", (dialog) => void dialog.accept());
    await choose(page, "Forget everything");
    await passphraseField(page).waitFor();
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("No conversations yet.").waitFor();
    assertEquals(problems, []);
  }));

test("on a phone and by keyboard alone", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start([...freePorts, "--one-server"]);
    const phone = { viewport: { width: 320, height: 640 }, colorScheme: "dark" as const };
    const { page: alice, problems } = await openChat(browser, chat, phone);
    const fits = async () => assertEquals(await alice.evaluate("document.documentElement.scrollWidth"), 320);
    await fits();

    // Invite: each step by Tab, Enter and typing.
    await alice.keyboard.press("Tab");
    await alice.keyboard.press("Enter");
    await alice.getByRole("dialog", { name: "Invite somebody" }).waitFor();
    await alice.keyboard.type("Bob with a long name that has to be cut or wrapped");
    await fits();
    await alice.keyboard.press("Enter");
    await alice.getByRole("img", { name: "The link as a QR code" }).waitFor();
    await fits();
    // The code makes no room for itself where the name and the buttons are.
    assert(
      await alice.locator("#chat-header").evaluate((header) => header.scrollHeight <= header.clientHeight),
    );
    const link = await alice.getByLabel("Link", { exact: true }).inputValue();

    // Join: by text around the link, after one that is no invitation and one for another server.
    const { page: bob } = await openChat(browser, chat);
    await bob.getByRole("button", { name: "Join", exact: true }).click();
    const field = bob.getByLabel("Invitation that you were sent");
    await bob.getByRole("textbox", { name: "Name of the conversation" }).fill("Alice");
    for (
      const [text, problem] of [
        ["https://example.org/", "no invitation in this text"],
        [link.slice(0, -20), "not whole"],
        [link.replace(/%23[^:]{8}/, "%23AAAAAAAA"), "for the server 127.0.0.1"],
      ] as const
    ) {
      await field.fill(text);
      await bob.keyboard.press("Enter");
      await bob.getByRole("dialog").getByRole("button", { name: "Join" }).click();
      await bob.getByRole("alert").getByText(problem).waitFor();
    }
    await field.fill(`Talk to me: ${link}\nAlice`);
    await bob.getByRole("dialog").getByRole("button", { name: "Join" }).click();
    await alice.locator("#chat-state").getByText("connected, end-to-end").waitFor();
    await say(bob, "a".repeat(500));
    await hear(alice, "a".repeat(500));
    await fits();
    // Where windows have a focus, keys of the others are lost.
    await alice.bringToFront();
    // What is longer than the screen is read from its beginning.
    await alice.getByRole("button", { name: "Security" }).press("Enter");
    const security = alice.getByRole("dialog", { name: "Bob with a long name" });
    assertEquals(await security.evaluate(({ scrollTop }) => scrollTop), 0);
    assert(await security.evaluate((dialog) => dialog.scrollHeight > dialog.clientHeight));
    await alice.keyboard.press("Tab");
    await alice.keyboard.press("Escape");
    await alice.getByRole("button", { name: "Back to conversations" }).press("Enter");
    await say(bob, "second");
    // The keyboard is where it was, and opens the conversation again.
    await alice.getByRole("button", { name: /1 new message/ }).waitFor();
    await alice.bringToFront();
    await alice.keyboard.press("Enter");
    await hear(alice, "second");
    // Few characters, as a page takes a second to show a million.
    await say(alice, "€".repeat(349_525) + "xx");
    await alice.getByRole("alert").getByText(/1 bytes? too long/).waitFor();
    await alice.getByRole("textbox", { name: "Message" }).fill("");
    assertEquals(await alice.getByText("bytes too long").count(), 0);
    await alice.keyboard.type("two");
    await alice.keyboard.press("Shift+Enter");
    await alice.keyboard.type("lines");
    await alice.keyboard.press("Enter");
    await hear(bob, "two\nlines");
    assert((await textsIn(bob)).includes("two\nlines"));
    assertEquals(problems, []);
  }));

test("an independent agent whose keys have exponents of 1024 bits talks with a browser", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page, problems } = await openChat(browser, chat);
    const link = await invite(page, "peer");
    // The peer knows no WebSockets.
    const { port } = new URL(chat.webSocketUrl);
    const invitation = link.slice(link.indexOf("#") + 1).replace("%23", "#").replace(
      `:${port}#`,
      `:${chat.smp.port}#`,
    );
    await using peer = new AgentPeer("joiner", chat.smp, invitation, { key: "rsa2048BigExponent" });
    await page.locator("#chat-state").getByText("connected, end-to-end").waitFor();
    for (let i = 1; i <= 3; i++) await say(page, `from the agent ${i}`);
    for (let i = 1; i <= 3; i++) await hear(page, `from the peer ${i}`);
    await peer.line((line) => line.done === true);
    assertEquals([await page.locator("#log .warning").count(), problems], [0, []]);
  }));
