/**
 * Makes the pictures of docs/web-chat.md and the page's icons: `deno task screenshots`
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Browser } from "playwright-core";
import { readTaskArguments } from "../../deploy/task_arguments.ts";
import { openPage, withBrowser } from "../support/browser.ts";
import {
  connectForFiles,
  doWith,
  fileIn,
  hear,
  invite,
  openChat,
  picture,
  say,
  sendFiles,
} from "../support/chat_page.ts";
import { WebChat } from "../support/web_chat.ts";

const docs = new URL("../../docs/", import.meta.url).pathname;
const page = new URL("../../examples/web-chat/page/", import.meta.url).pathname;
const desktop = { viewport: { width: 1000, height: 720 }, colorScheme: "light" } as const;
const phone = { viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true } as const;

/** Pictures of the icon in the sizes that phones want. */
async function makeIcons(browser: Browser): Promise<void> {
  const icon = await Deno.readTextFile(`${page}app-icon.svg`);
  for (const size of [192, 512]) {
    const { page: sheet } = await openPage(browser, { viewport: { width: size, height: size } });
    await sheet.setContent(`<body style="margin: 0">${icon}`);
    await sheet.screenshot({ path: `${page}icon-${size}.png` });
    await sheet.context().close();
  }
}

const help = `deno task screenshots

Makes the pictures of docs/web-chat.md and the web chat's icons anew, with Chromium.`;

readTaskArguments({}, { help, most: 0 });
await withBrowser(async (browser) => {
  await makeIcons(browser);
  await using chat = await WebChat.start();
  const { page: alice } = await openChat(browser, chat, desktop);
  const { page: bob } = await openChat(browser, chat, phone);
  await invite(alice, "Carol");
  await alice.screenshot({ path: `${docs}web-chat-invitation.png` });
  await connectForFiles(alice, bob);
  const pages = { alice, bob };
  for (
    const [from, to, text] of [
      ["alice", "bob", "Nobody between us can read this."],
      ["bob", "alice", "Not even the server?"],
      ["alice", "bob", "It sees two queues that have nothing to do with each other, and blocks of one size."],
    ] as const
  ) {
    await say(pages[from], text);
    await hear(pages[to], text);
  }
  const hills = await picture(alice);
  await sendFiles(alice, hills);
  await doWith(bob, hills.name, "Accept");
  await fileIn(alice, hills.name).getByText("✓✓ received").waitFor();
  for (const page of [alice, bob]) await fileIn(page, hills.name).getByRole("img").waitFor();
  await say(bob, "Where is that?");
  await hear(alice, "Where is that?");
  const map = { name: "map of the hills.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(24_000_000) };
  await sendFiles(alice, map);
  await fileIn(bob, map.name).waitFor();
  await bob.screenshot({ path: `${docs}web-chat-phone.png` });
  await bob.setViewportSize({ width: 412, height: 915 });
  await bob.getByRole("button", { name: "Back to conversations" }).click();
  await bob.getByText("More", { exact: true }).click();
  await bob.screenshot({ path: `${docs}web-chat-phone-list.png` });
  await bob.getByRole("button", { name: /^Alice/ }).click();
  // So that it is seen on its way.
  await alice.evaluate(() => {
    const { arrayBuffer } = Blob.prototype;
    let count = 10;
    Blob.prototype.arrayBuffer = function () {
      return count-- > 0 ? arrayBuffer.call(this) : new Promise(() => {});
    };
  });
  await doWith(bob, map.name, "Accept");
  await fileIn(alice, map.name).getByText("11 MB of 24 MB").waitFor();
  await alice.screenshot({ path: `${docs}web-chat.png` });
  await alice.getByRole("button", { name: "Security" }).click();
  await alice.getByLabel("It is the same on both sides").check();
  await alice.screenshot({ path: `${docs}web-chat-security.png` });
});
