/**
 * Makes the pictures of docs/web-chat.md: `deno task screenshots`
 *
 * @module
 */
import { withBrowser } from "../support/browser.ts";
import { connectPages, hear, invite, openChat, say } from "../support/chat_page.ts";
import { WebChat } from "../support/web_chat.ts";

const docs = new URL("../../docs/", import.meta.url).pathname;
const desktop = { viewport: { width: 1000, height: 640 }, colorScheme: "light" } as const;
const phone = { viewport: { width: 375, height: 667 }, colorScheme: "dark", hasTouch: true } as const;

await withBrowser(async (browser) => {
  await using chat = await WebChat.start();
  const { page: alice } = await openChat(browser, chat, desktop);
  const { page: bob } = await openChat(browser, chat, phone);
  await invite(alice, "Carol");
  await alice.screenshot({ path: `${docs}web-chat-invitation.png` });
  await connectPages(alice, bob);
  const pages = { alice, bob };
  for (
    const [from, to, text] of [
      ["alice", "bob", "Hello Bob! Nobody between us can read this."],
      ["bob", "alice", "Hello Alice. Not even the server?"],
      ["alice", "bob", "It sees two queues that have nothing to do with each other, and blocks of one size."],
      ["bob", "alice", "And when I close the page?"],
      ["alice", "bob", "Messages wait at the server, encrypted, until you open it again."],
    ] as const
  ) {
    await say(pages[from], text);
    await hear(pages[to], text);
  }
  const restart = await chat.kill();
  await alice.getByText("no connection to the server").waitFor();
  await restart();
  await alice.getByText("connected to the server").waitFor();
  await say(alice, "The server was away for a moment. Nothing is lost.");
  await hear(bob, "The server was away for a moment. Nothing is lost.");
  await alice.locator("#log .delivery").last().getByText(/sent|delivered/).waitFor();
  await alice.screenshot({ path: `${docs}web-chat.png` });
  await bob.screenshot({ path: `${docs}web-chat-phone.png` });
});
