import { assert, assertEquals } from "@std/assert";
import { findInvitation, linkOf } from "../../examples/web-chat/page/invitation.ts";
import { formatQueueInfo, parseQueueInfo, SmpError } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { AgentPeer } from "../support/agent_peer.ts";
import { chromiumLack, withBrowser } from "../support/browser.ts";
import { connectPages, hear, invite, openChat, say, textsIn } from "../support/chat_page.ts";
import { HostileAgent } from "../support/hostile_agent.ts";
import { requiring } from "../support/requires.ts";
import { patience } from "../support/wait.ts";
import { steadyPorts, WebChat } from "../support/web_chat.ts";

const test = requiring(chromiumLack);

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
    const alice = await openChat(browser, chat);
    const bob = await openChat(browser, chat);
    await connectPages(alice.page, bob.page);
    await say(alice.page, "hello Bob");
    await hear(bob.page, "hello Bob");
    await alice.page.locator("#log .delivery").getByText("sent").waitFor();
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
    await alice.page.locator("#log .delivery").nth(3).getByText("sent").waitFor();
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
    await alice.locator("#notice").getByText("cannot be read; it was dropped").waitFor();

    // The warning is stored with the message.
    await alice.reload();
    await alice.getByRole("button", { name: /^Mallory/ }).click();
    await item.getByText("2 messages before this one are missing.").waitFor();
    await alice.locator("#notice").getByText("could not be read").waitFor();

    const { page: bob } = await openChat(browser, chat);
    await bob.goto(linkOf(chat.url, formatQueueInfo(invitation)));
    await bob.getByRole("textbox", { name: "Name of the conversation" }).fill("Alice");
    await bob.getByRole("dialog").getByRole("button", { name: "Join" }).click();
    await bob.locator("#notice").getByText("The invitation was used before").waitFor();
  }));

test("messages go on in order after the server was killed", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start(steadyPorts());
    const { page: alice } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await connectPages(alice, bob);
    const count = 200;
    const texts = Array.from({ length: count }, (_, i) => `message ${i + 1}`);
    for (const text of texts.slice(0, 20)) await say(alice, text);
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
    }, texts.slice(20));
    await hear(alice, "written without a server");
    await hear(bob, texts.at(-1)!);
    assertEquals(await bob.locator("#log .theirs .text").allTextContents(), texts);
    assertEquals(await bob.locator("#log .warning").count(), 0);
    await bob.locator("#log .mine .delivery").getByText("sent").waitFor();
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
  }));

test("with a passphrase the page asks for it, and can forget everything", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page, problems } = await openChat(browser, chat, { passphrase: "correct horse" });
    await invite(page, "Bob");
    await page.reload();
    await page.getByLabel("Passphrase").fill("wrong horse");
    await page.keyboard.press("Enter");
    await page.getByText("The passphrase is wrong.").waitFor();
    await page.getByLabel("Passphrase").fill("correct horse");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Bob waiting for somebody to join" }).waitFor();

    // A second page on the same store would lose messages.
    const second = await page.context().newPage();
    await second.goto(chat.url);
    await second.getByRole("alert").getByText("another agent uses it").waitFor();
    await second.close();

    page.on("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Forget everything" }).click();
    await page.getByLabel("Passphrase (optional)").waitFor();
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("No conversations yet.").waitFor();
    assertEquals(problems, []);
  }));

test("on a phone and by keyboard alone", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
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
    await alice.getByRole("button", { name: "Back to conversations" }).press("Enter");
    await say(bob, "second");
    // The keyboard is where it was, and opens the conversation again.
    await alice.getByRole("button", { name: /1 new message/ }).waitFor();
    await alice.keyboard.press("Enter");
    await hear(alice, "second");
    await say(alice, "x".repeat(5000));
    await alice.getByRole("alert").getByText("bytes too long").waitFor();
    await alice.getByRole("textbox", { name: "Message" }).fill("");
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
