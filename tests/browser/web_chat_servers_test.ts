import { assert, assertEquals } from "@std/assert";
import { findInvitation } from "../../examples/web-chat/page/invitation.ts";
import { parseAddress, parseQueueInfo } from "../../mod.ts";
import { testsInChromium, withBrowser } from "../support/browser.ts";
import { choose, hear, invite, openChat, say } from "../support/chat_page.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { freePorts, WebChat } from "../support/web_chat.ts";

const test = testsInChromium();

test("pages of two servers talk, and make invitations on the servers that were chosen", () =>
  withBrowser(async (browser) => {
    await using first = await WebChat.start();
    await using second = await WebChat.start(freePorts, { makesKeys: true });
    const { page: alice } = await openChat(browser, first);
    const { page: bob } = await openChat(browser, second);
    const link = await invite(alice, "Bob");
    await bob.getByRole("button", { name: "Join", exact: true }).click();
    await bob.getByLabel("Invitation that you were sent").fill(link);
    await bob.getByRole("textbox", { name: "Name of the conversation" }).fill("Alice");
    const join = bob.getByRole("dialog").getByRole("button", { name: "Join" });
    await join.click();
    await bob.getByRole("alert").getByText("another server, 127.0.0.1").waitFor();
    await join.click();
    for (const page of [alice, bob]) {
      await page.locator("#chat-state").getByText("connected, end-to-end").waitFor();
    }
    await say(alice, "from one server");
    await hear(bob, "from one server");
    await say(bob, "from another");
    await hear(alice, "from another");

    // Bob's conversations are made on Alice's server from now on.
    const { host, port, keyHash } = parseQueueInfo(findInvitation(link)!).server;
    const address = `${host}:${port}#${keyHash}`;
    await choose(bob, "Servers");
    const list = bob.getByLabel("Addresses of servers");
    assert((await list.inputValue()).startsWith("127.0.0.1:"));
    const save = bob.getByRole("button", { name: "Save" });
    await list.fill(`${address}\n127.0.0.1:${second.smp.port}#${keyHash}`);
    await save.click();
    await bob.getByRole("alert").getByText("127.0.0.1 cannot be reached by WebSockets as this server")
      .waitFor();
    await list.fill(address);
    await save.click();
    await bob.getByRole("dialog").waitFor({ state: "hidden" });
    const { server } = parseQueueInfo(findInvitation(await invite(bob, "Carol"))!);
    assertEquals(server.keyHash, keyHash);

    // The choice is kept.
    await bob.reload();
    await choose(bob, "Servers");
    assertEquals(await list.inputValue(), address);
  }));

test("a server that wants a password is given it by the person, each time that the page is loaded", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    // One that counts wrong passwords takes the next one seconds later.
    const limits = { refusedTimePerSecondPerIp: 0 };
    const password = "of:the@operator";
    await using server = await startServer({ create: { password }, limits });
    const { host, keyHash } = parseAddress(server.address);
    const address = `${host}:${server.webSocketPort}#${keyHash}`;
    const { page } = await openChat(browser, chat);
    const dialog = page.getByRole("dialog", { name: "Password of a server" });
    const field = dialog.getByLabel(`Password of ${host}`);
    const use = dialog.getByRole("button", { name: "Use" });

    await choose(page, "Servers");
    const list = page.getByLabel("Addresses of servers");
    const save = page.getByRole("button", { name: "Save" });
    await list.fill(`not-it@${address}`);
    await save.click();
    await dialog.getByText(`This is not the password of ${host}`).waitFor();
    assertEquals(await list.inputValue(), address);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("those alone who know its password").waitFor();
    await save.click();
    await field.fill("nor-this");
    await use.click();
    await dialog.getByText(`This is not the password of ${host}`).waitFor();
    await field.fill(password);
    await use.click();
    await list.waitFor({ state: "hidden" });
    const link = await invite(page, "Bob");
    assertEquals(parseQueueInfo(findInvitation(link)!).server.keyHash, keyHash);
    assert(!JSON.stringify(await page.evaluate(() => ({ ...localStorage }))).includes("operator"));

    await page.reload();
    await page.getByRole("button", { name: "Invite" }).click();
    await page.getByRole("textbox", { name: "Name of the conversation" }).fill("Carol");
    await page.getByRole("button", { name: "Make invitation" }).click();
    await field.fill(password);
    await use.click();
    await page.getByRole("heading", { name: "Carol" }).waitFor();

    // The server has another one from now on.
    server.setCreate({ password: "another" });
    await page.getByRole("button", { name: "Invite" }).click();
    await page.getByRole("textbox", { name: "Name of the conversation" }).fill("Dave");
    await page.getByRole("button", { name: "Make invitation" }).click();
    await field.fill("another");
    await use.click();
    await page.getByRole("heading", { name: "Dave" }).waitFor();

    // Who joins makes a queue too, of which nobody waits for the answer.
    server.setCreate({ password });
    const { page: erin } = await openChat(browser, chat);
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await page.getByLabel("Invitation that you were sent").fill(await invite(erin, "Alice"));
    await page.getByRole("textbox", { name: "Name of the conversation" }).fill("Erin");
    await page.getByRole("dialog").getByRole("button", { name: "Join" }).click();
    // What a person may be writing just then is none.
    await page.getByText(`${host} wants its password`).waitFor();
    await until(async () => await page.locator("dialog[open]").count() === 0);
    await page.getByRole("button", { name: "Give the password" }).click();
    await field.fill(password);
    await use.click();
    await page.getByText(`${host} wants its password`).waitFor({ state: "hidden" });
    await page.locator("#chat-state").getByText("connected, end-to-end").waitFor();
  }));
