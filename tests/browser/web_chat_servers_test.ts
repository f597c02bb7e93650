import { assert, assertEquals } from "@std/assert";
import { findInvitation } from "../../examples/web-chat/page/invitation.ts";
import { parseQueueInfo } from "../../mod.ts";
import { chromiumLack, withBrowser } from "../support/browser.ts";
import { choose, hear, invite, openChat, say } from "../support/chat_page.ts";
import { requiring } from "../support/requires.ts";
import { WebChat } from "../support/web_chat.ts";

const test = requiring(chromiumLack);

test("pages of two servers talk, and make invitations on the servers that were chosen", () =>
  withBrowser(async (browser) => {
    await using first = await WebChat.start();
    await using second = await WebChat.start();
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
