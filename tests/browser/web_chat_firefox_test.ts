import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { withFirefox } from "../support/browser.ts";
import {
  connectForFiles,
  doWith,
  fileIn,
  hear,
  openChat,
  say,
  sendFiles,
  textsIn,
} from "../support/chat_page.ts";
import { firefoxLack } from "../support/firefox.ts";
import { requiring } from "../support/requires.ts";
import { WebChat } from "../support/web_chat.ts";

const test = requiring(firefoxLack);

test("two people talk and send files in Firefox, over reloads, with a certificate that they have accepted", () =>
  withFirefox(async (browser) => {
    await using chat = await WebChat.start(["--tls", "--host", "127.0.0.1", "--port", "0"]);
    const alice = await openChat(browser, chat, { ignoreHTTPSErrors: true });
    const bob = await openChat(browser, chat, { ignoreHTTPSErrors: true });
    await connectForFiles(alice.page, bob.page);
    const name = "notes.txt";
    await sendFiles(alice.page, { name, mimeType: "text/plain", buffer: Buffer.alloc(300_000, "notes\n") });
    await doWith(bob.page, name, "Accept");
    await fileIn(alice.page, name).getByText("✓✓ received").waitFor();
    await fileIn(bob.page, name).getByRole("link", { name: "Save" }).waitFor();

    await bob.page.reload();
    await bob.page.getByRole("button", { name: /^Alice/ }).click();
    await fileIn(bob.page, name).getByRole("link", { name: "Save" }).waitFor();
    assertEquals(await textsIn(bob.page), ["hello", "hello", `${name} · 300 kB`]);
    await say(bob.page, "after the reload");
    await hear(alice.page, "after the reload");
    for (const { problems } of [alice, bob]) assertEquals(problems, []);
  }));
